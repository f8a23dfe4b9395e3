-- The index of a recipient: a sorted set of what is stored of it beside its counts, by when each expires, ms. With it
-- `forget` finds what no other key names. A member is
--   v:<tenant>:<id>           a verification, whatever its state
--   i:<tenant>:<keyed hash>   the response that is stored under an idempotency key
local function index_member(kind, tenant, name)
  return kind .. ':' .. tenant .. ':' .. name
end

-- The keyed hash at the end of the key of a stored response.
local function response_name(key)
  return string.match(key, '[^:]*$')
end

local function add_to_index(key, kind, tenant, name, expires_ms, now)
  local score, member = string.format('%.0f', expires_ms), index_member(kind, tenant, name)
  local added = redis.pcall('ZADD', key, score, member)
  if type(added) ~= 'number' then  -- damaged: it has another type
    redis.call('DEL', key)
    redis.call('ZADD', key, score, member)
  end
  local left_ms = redis.call('PTTL', key)
  if left_ms > 0 then redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now)) end
  if left_ms < expires_ms - now then redis.call('PEXPIREAT', key, score) end
end
