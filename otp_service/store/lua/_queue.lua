-- A message that waits for its turn at a provider tries again by itself. One that is this late was canceled, or its
-- replica stopped.
local ABANDONED_AFTER_MS = 1500
