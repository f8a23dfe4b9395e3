-- Exact sliding windows. "count/seconds" allows one more event when the count-th youngest event is older than the
-- window. One log of times, as long as the largest count, serves all windows of a limit.

-- Parses "5 3600000 10 86400000" to {{count = 5, span_ms = 3600000}, ...}. Also returns the largest count and the
-- longest span.
local function parse_windows(text)
  local windows, max_count, longest_ms = {}, 0, 0
  for count, span_ms in string.gmatch(text, '(%d+) (%d+)') do
    count, span_ms = tonumber(count), tonumber(span_ms)
    windows[#windows + 1] = {count = count, span_ms = span_ms}
    max_count = math.max(max_count, count)
    longest_ms = math.max(longest_ms, span_ms)
  end
  return windows, max_count, longest_ms
end

-- Returns the ms until one more event fits into every window, 0: now; and those until it fits into each of them.
-- `nth_youngest(n)` returns the time of the n-th youngest event, or nil.
local function wait_ms_for(windows, now, nth_youngest)
  local wait_ms, waits = 0, {}
  for index, window in ipairs(windows) do
    local at = nth_youngest(window.count)
    -- A time in the future is damaged, or the clock went back. It counts as now, so no wait is longer than a span.
    waits[index] = at and math.max(0, math.min(at, now) + window.span_ms - now) or 0
    wait_ms = math.max(wait_ms, waits[index])
  end
  return wait_ms, waits
end

-- Returns how many events are in a window that has one at least, and the ms until the oldest of them leaves it: found by
-- halving, because a log has its events in order.
local function used_in(window, now, nth_youngest)
  local used, beyond = 1, window.count + 1
  while beyond - used > 1 do
    local middle = math.floor((used + beyond) / 2)
    local at = nth_youngest(middle)
    if at and math.min(at, now) + window.span_ms > now then used = middle else beyond = middle end
  end
  return used, math.min(nth_youngest(used), now) + window.span_ms - now
end

-- Returns a reply with the values of `more` added at its end.
local function with_values(reply, more)
  for _, value in ipairs(more) do reply[#reply + 1] = value end
  return reply
end

-- A log in a hash field: six bytes (a big-endian number of ms) per event, oldest first.
local LOG_ENTRY_BYTES = 6

local function log_reader(log)
  return function(n)
    local from = #log - n * LOG_ENTRY_BYTES
    if from < 0 then return nil end
    return (struct.unpack('>I6', log, from + 1))
  end
end

local function log_append(log, now, max_count)
  local dropped = math.max(0, #log - (max_count - 1) * LOG_ENTRY_BYTES)
  return string.sub(log, dropped + 1) .. struct.pack('>I6', now)
end

-- Removes one event of that time, wherever it is in the log.
local function log_remove(log, at_ms)
  local packed = struct.pack('>I6', at_ms)
  for at = #log - LOG_ENTRY_BYTES + 1, 1, -LOG_ENTRY_BYTES do
    if string.sub(log, at, at + LOG_ENTRY_BYTES - 1) == packed then
      return string.sub(log, 1, at - 1) .. string.sub(log, at + LOG_ENTRY_BYTES)
    end
  end
  return log
end
