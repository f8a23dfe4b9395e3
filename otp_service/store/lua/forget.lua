-- forget: removes what is stored of a recipient, at one tenant or at all.
-- KEYS  1 recipient  2 outbox of the partition  3 opted-out numbers of the partition
--       4 index of the recipient  5... lockouts of the recipient, one for each tenant
-- ARGV  1 tenant, '' for all  2 '1': also the sends, the wrong codes and the locks  3 '1': also the opt-out
--       4 member of the recipient in KEYS[3]  5, 6, 7 key prefixes of verifications, messages and stored responses in
--       this partition
-- Reaches by template: what the recipient's index names, and the verifications that its chains name, with their
-- messages, in the slot of KEYS.
-- returns {'forgotten', now, verifications removed, '1' if an opt-out was removed, ms until the counts end,
--          ms until the last lock ends, ms until the opt-out ends}; 0 for what there is not
-- Invariant: without ARGV[2] no limit, cooldown, chain or lock gets shorter; a repeated call changes nothing.
--@include _clock _ttl _record _window _recipient
local now = now_ms()
local removed, own_fields = 0, {}

local function remove_verification(id)
  removed = removed + redis.call('DEL', ARGV[5] .. id)
  redis.call('DEL', ARGV[6] .. id)
  redis.call('ZREM', KEYS[2], id)
end

local members = redis.pcall('ZRANGE', KEYS[4], 0, -1)
if members.err then members = {} end
for _, member in ipairs(members) do
  local kind, tenant, name = string.match(member, '^([vi]):([^:]*):(.*)$')
  if kind and (ARGV[1] == '' or tenant == ARGV[1]) then
    if kind == 'v' then remove_verification(name) else redis.call('DEL', ARGV[7] .. name) end
    redis.call('ZREM', KEYS[4], member)
  end
end

local fields = redis.pcall('HGETALL', KEYS[1])
if fields.err then fields = {} end
for at = 1, #fields, 2 do
  local kind, tenant = string.match(fields[at], '^([cf]):([^:]*)')
  if kind and (ARGV[1] == '' or tenant == ARGV[1]) then
    own_fields[#own_fields + 1] = fields[at]
    local chain = kind == 'c' and read_chain(KEYS[1], fields[at]) or {id = ''}
    if chain.id ~= '' then
      remove_verification(chain.id)
      chain.id = ''
      write_chain(KEYS[1], fields[at], chain)
    end
  end
end

if ARGV[2] == '1' then
  for at = 5, #KEYS do redis.call('DEL', KEYS[at]) end
  if ARGV[1] == '' then
    redis.call('DEL', KEYS[1])
  elseif own_fields[1] then
    redis.call('HDEL', KEYS[1], unpack(own_fields))
  end
end
local opt_out_removed = ARGV[3] == '1' and redis.call('ZREM', KEYS[3], ARGV[4]) == 1

local locked_ms = 0
for at = 5, #KEYS do locked_ms = math.max(locked_ms, redis.call('PTTL', KEYS[at])) end
local opt_out_ms = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[4]) or 0) - now
return {'forgotten', now, removed, opt_out_removed and '1' or '', math.max(0, redis.call('PTTL', KEYS[1])), locked_ms,
  math.max(0, math.ceil(opt_out_ms))}
