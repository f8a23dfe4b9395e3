-- A recipient is one hash: `s` the log of sends (all tenants and purposes), `f:<tenant>` the log of failures,
-- `c:<tenant>:<purpose>` the chain: the last send's moment, the sends so far, when the chain ends, the current id, the
-- token of who reserved last, and how many of the sends are running: reserved, and neither started nor given back.
local STALLED_MS = 15000  -- longer than a `start` may come after its reservation

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

local function chain_of(key, field)
  local packed = redis.call('HGET', key, field)
  local unpacked, value = pcall(cmsgpack.unpack, packed)
  if not unpacked or not is_chain(value) then  -- a damaged one is a new one: the windows still bound the sends
    return {last = 0, sends = 0, ends = 0, id = '', token = '', running = 0}, ''
  end
  local chain = {last = value[1], sends = value[2], ends = value[3], id = value[4], token = value[5] or ''}
  chain.running = tonumber(value[6]) or 0
  return chain, packed
end

local function chain_store(key, field, chain)
  redis.call('HSET', key, field, cmsgpack.pack({chain.last, chain.sends, chain.ends, chain.id, chain.token, chain.running}))
end

-- The sends that are running; who reserved too long ago starts no more.
local function running_of(chain, now)
  return now - chain.last < STALLED_MS and chain.running or 0
end

-- How long failures lock the recipient for this tenant; 0: not locked. What is not a hash has lost its failures, so it is
-- locked until it is gone: for the longest window, if nothing else ends it.
local function locked_for(key, tenant, windows, now)
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then
    local longest = 1000
    for _, window in ipairs(windows) do longest = math.max(longest, window.span) end
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, longest) end
    return redis.call('PTTL', key)
  end
  return wait_for(windows, now, log_moment(redis.call('HGET', key, 'f:' .. tenant) or ''))
end

-- What keeps the next send waiting, and how long: the longest of the cooldown, the chain and the windows.
local function send_wait(chain, log, windows, cooldown, max_sends, now)
  local wait, why = 0, ''
  local function longer(other, name)
    if other > wait then wait, why = other, name end
  end
  longer(wait_for(windows, now, log_moment(log)), 'recipient')
  if chain.ends > now and chain.sends >= max_sends then
    longer(chain.ends - now, 'max_sends')
  end
  longer(chain.last + cooldown - now, 'cooldown')
  return wait, why
end
