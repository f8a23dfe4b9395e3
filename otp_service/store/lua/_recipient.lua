-- A recipient is a hash with the fields
--   s                      the log of sends, of all tenants and purposes
--   f:<tenant>             the log of wrong codes at a tenant
--   c:<tenant>:<purpose>   the chain: a packed array
--       1 time of the last send, ms   2 sends so far   3 end of the chain, ms   4 id of the current verification, ''
--       5 token of the last reservation   6 open reservations: neither started nor released
local RESERVATION_TTL_MS = 15000  -- longer than a `start` may come after its reservation

local function chain_field(tenant, purpose)
  return 'c:' .. tenant .. ':' .. purpose
end

local function is_chain(value)
  if type(value) ~= 'table' or type(value[4]) ~= 'string' then return false end
  for at = 1, 3 do
    if type(value[at]) ~= 'number' or value[at] ~= value[at] then return false end
  end
  return true
end

-- Returns the chain and its packed form. A damaged chain counts as a new one: the windows still limit the sends.
local function read_chain(key, field)
  local packed = redis.call('HGET', key, field)
  local unpacked, value = pcall(cmsgpack.unpack, packed)
  if not unpacked or not is_chain(value) then
    return {last = 0, sends = 0, ends = 0, id = '', token = '', open = 0}, ''
  end
  local chain = {last = value[1], sends = value[2], ends = value[3], id = value[4], token = value[5] or ''}
  chain.open = tonumber(value[6]) or 0
  return chain, packed
end

local function write_chain(key, field, chain)
  local values = {chain.last, chain.sends, chain.ends, chain.id, chain.token, chain.open}
  redis.call('HSET', key, field, cmsgpack.pack(values))
end

-- Returns the reservations that may still start.
local function open_reservations(chain, now)
  return now - chain.last < RESERVATION_TTL_MS and chain.open or 0
end

-- Returns for how many ms wrong codes lock the recipient at this tenant, 0: it is not locked; how long each window of
-- wrong codes does; and the log of wrong codes. A key of another type has lost its wrong codes: the recipient is locked
-- until the key expires, after the longest window at most, and nothing else is returned.
local function locked_ms(key, tenant, windows, now)
  local log = redis.pcall('HGET', key, 'f:' .. tenant) or ''
  if type(log) ~= 'string' then
    local longest_ms = 1000
    for _, window in ipairs(windows) do longest_ms = math.max(longest_ms, window.span_ms) end
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, longest_ms) end
    return math.max(1, redis.call('PTTL', key))
  end
  local wait_ms, waits = wait_ms_for(windows, now, log_reader(log))
  return wait_ms, waits, log
end

-- Returns for how many ms the next send must wait, and the limit that waits longest: 'recipient' (the windows),
-- 'max_sends' (the chain) or 'cooldown'. 0 and '': it may go now. Also returns the ms of each: those of the cooldown,
-- of the chain and of each window.
local function send_wait_ms(chain, log, windows, cooldown_ms, max_sends, now)
  local longest_ms, limit = 0, ''
  local function consider(wait_ms, name)
    if wait_ms > longest_ms then longest_ms, limit = wait_ms, name end
  end
  local chain_ms = chain.sends >= max_sends and math.max(0, chain.ends - now) or 0
  local cooldown_left_ms = math.max(0, chain.last + cooldown_ms - now)
  -- The clock went back by more than the cooldown, as after a failover. The windows still limit the sends.
  if cooldown_left_ms > 2 * cooldown_ms then cooldown_left_ms = 0 end
  local windows_ms, waits = wait_ms_for(windows, now, log_reader(log))
  consider(windows_ms, 'recipient')
  consider(chain_ms, 'max_sends')
  consider(cooldown_left_ms, 'cooldown')
  return longest_ms, limit, with_values({cooldown_left_ms, chain_ms}, waits)
end
