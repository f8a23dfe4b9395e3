-- The lockout of a recipient at a tenant: one packed array in a key of its own,
--   1 wrong codes in a row   2 exhausted verifications in a row   3 until when request-code must wait, ms
-- A success or an unlock deletes the key. Otherwise it is kept for 400 days after the last wrong code.
local LOCKOUT_TTL_MS = 400 * 86400000

local function lockout_key(prefix, tenant, recipient)
  return prefix .. tenant .. ':' .. recipient
end

-- Parses "30000 3600000 100": the first wait and the longest wait in ms, and the wrong codes in a row that disable a
-- recipient.
local function parse_lockout_policy(text)
  local first_ms, max_ms, max_failures = string.match(text, '(%d+) (%d+) (%d+)')
  return {first_ms = tonumber(first_ms), max_ms = tonumber(max_ms), max_failures = tonumber(max_failures)}
end

-- A damaged entry has lost its count, so it disables the recipient until an operator unlocks it.
local function read_lockout(key)
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
  return lockout.failures >= policy.max_failures
end

-- Counts one wrong code. `exhausted`: it used the last attempt of a verification.
local function count_failure(key, lockout, exhausted, policy, now)
  lockout.failures = lockout.failures + 1
  if exhausted then
    local wait_ms = math.min(policy.max_ms, policy.first_ms * 2 ^ math.min(lockout.exhausted, 20))
    lockout.exhausted = lockout.exhausted + 1
    lockout.ends = math.max(lockout.ends, now + wait_ms)
  end
  redis.call('SET', key, cmsgpack.pack({lockout.failures, lockout.exhausted, lockout.ends}), 'KEEPTTL')
  extend_ttl(key, now + LOCKOUT_TTL_MS, now)
end
