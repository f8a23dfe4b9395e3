-- Those who wait for their turn at a gateway come back by themselves; who is this late was called off, or its replica died.
local GIVEN_UP_MS = 1500
