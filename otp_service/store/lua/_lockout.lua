-- The lock-out of a recipient at a tenant is one packed array under a key of its own: the wrong codes in a row, the
-- verifications exhausted in a row, and until when request-code waits. A success or an unlock deletes the key: who has no
-- wrong code keeps nothing, and what others have is remembered for 400 days after their last one.
local LOCKOUT_LIFE_MS = 400 * 86400000

local function lockout_key(prefix, tenant, recipient)
  return prefix .. tenant .. ':' .. recipient
end

-- "30000 3600000 100" -> the first wait and the longest one in ms, the wrong codes in a row that disable
local function lockout_policy(text)
  local first, longest, most = string.match(text, '(%d+) (%d+) (%d+)')
  return {first = tonumber(first), longest = tonumber(longest), most = tonumber(most)}
end

-- A damaged one has lost its count, so it disables the recipient until it is unlocked.
local function lockout_of(key)
  local packed = redis.pcall('GET', key)
  if not packed then return {failures = 0, exhausted = 0, ends = 0} end
  local unpacked, value = pcall(cmsgpack.unpack, packed)
  if unpacked and type(value) == 'table' then
    local failures, exhausted, ends = tonumber(value[1]), tonumber(value[2]), tonumber(value[3])
    if failures and exhausted and ends then return {failures = failures, exhausted = exhausted, ends = ends} end
  end
  return {failures = math.huge, exhausted = 0, ends = 0}
end

local function is_disabled(lockout, policy)
  return lockout.failures >= policy.most
end

-- One more wrong code, which took a verification's last attempt or not.
local function lockout_count(key, lockout, exhausted, policy, now)
  lockout.failures = lockout.failures + 1
  if exhausted then
    local wait = math.min(policy.longest, policy.first * 2 ^ math.min(lockout.exhausted, 20))
    lockout.exhausted = lockout.exhausted + 1
    lockout.ends = math.max(lockout.ends, now + wait)
  end
  redis.call('SET', key, cmsgpack.pack({lockout.failures, lockout.exhausted, lockout.ends}), 'KEEPTTL')
  extend_ttl(key, now + LOCKOUT_LIFE_MS, now)
end
