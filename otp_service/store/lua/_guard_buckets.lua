-- The counts of the guard by spans of time: one hash for each minute, hour and day (UTC) of a scope, with the fields
-- 's' and 'v' (sent, verified), class and level. The class is 'k' for numbers that verified a code before, else 'n'.
-- Levels begin with c (all), t (tenant), a (area), b (block) or q (quiet countries); blocks are counted by day only.
local MINUTE_MS, HOUR_MS, DAY_MS = 60000, 3600000, 86400000
local PENDING_MINUTES, BURST_HOURS, PAST_DAYS = 3, 2, 7  -- as in domain/guard_counts.py
local SPANS = {
  {letter = 'm', length_ms = MINUTE_MS, kept = 5, max_fields = 500},
  {letter = 'h', length_ms = HOUR_MS, kept = 49, max_fields = 1000},
  {letter = 'd', length_ms = DAY_MS, kept = PAST_DAYS + 2, max_fields = 4000},
}
local MAX_BLOCK_FIELDS = 3000  -- of a day: the other fields are for areas, so that blocks cannot push them out
local KNOWN_PERIOD_MS = 30 * DAY_MS

-- Whether a field may be added. Those of a country, a tenant and the quiet countries are few, and always counted.
local function has_room(key, field, level, max_fields)
  local kind = string.sub(level, 1, 1)
  if kind ~= 'a' and kind ~= 'b' then return true end
  if kind == 'b' then max_fields = MAX_BLOCK_FIELDS end
  return redis.call('HLEN', key) < max_fields or redis.call('HEXISTS', key, field) == 1
end

-- Adds to a level in the buckets of the time `at_ms`, as far as they are still kept: a code may be verified when the
-- bucket of its minute is gone. `amount` -1 removes what was counted before.
local function add_counts(prefix, at_ms, kind, class, level, amount, now)
  local field, is_block = kind .. class .. level, string.sub(level, 1, 1) == 'b'
  for _, span in ipairs(SPANS) do
    if not is_block or span.letter == 'd' then
      local number = math.floor(at_ms / span.length_ms)
      local key, ends_at = prefix .. span.letter .. string.format('%d', number), (number + span.kept) * span.length_ms
      if redis.call('TYPE', key).ok ~= 'hash' then redis.call('DEL', key) end
      if amount < 0 then
        local left = redis.call('HEXISTS', key, field) == 1 and redis.call('HINCRBY', key, field, amount)
        if left and left <= 0 then redis.call('HDEL', key, field) end
      elseif ends_at > now and has_room(key, field, level, span.max_fields) then
        redis.call('HINCRBY', key, field, amount)
        extend_ttl(key, ends_at, now)
      end
    end
  end
end

-- Adds the fields of the buckets `first` to `last` of a span to `sums`, from position `at` on.
local function add_sums(sums, at, prefix, letter, first, last, fields)
  for number = first, last do
    local values = redis.pcall('HMGET', prefix .. letter .. string.format('%d', number), unpack(fields))
    if not values.err then
      for index = 1, #fields do
        sums[at + index] = (sums[at + index] or 0) + (tonumber(values[index]) or 0)
      end
    end
  end
end

-- Returns the sums of all levels by span: pending, burst, window, today, past; each has sent and verified of each level.
local function read_counts(prefix, now, class, levels, window_hours)
  local fields, sums = {}, {}
  for _, level in ipairs(levels) do
    fields[#fields + 1] = 's' .. class .. level
    fields[#fields + 1] = 'v' .. class .. level
  end
  for index = 1, 5 * #fields do sums[index] = 0 end
  local minute, hour, day = math.floor(now / MINUTE_MS), math.floor(now / HOUR_MS), math.floor(now / DAY_MS)
  add_sums(sums, 0, prefix, 'm', minute - PENDING_MINUTES + 1, minute, fields)
  add_sums(sums, #fields, prefix, 'h', hour - BURST_HOURS + 1, hour, fields)
  add_sums(sums, 2 * #fields, prefix, 'h', hour - window_hours + 1, hour, fields)
  add_sums(sums, 3 * #fields, prefix, 'd', day, day, fields)
  add_sums(sums, 4 * #fields, prefix, 'd', day - PAST_DAYS, day - 1, fields)
  return sums
end

-- The key of the set of known numbers of a period of 30 days.
local function known_key(prefix, period, shard)
  return prefix .. 'k' .. string.format('%d', period) .. ':' .. shard
end
