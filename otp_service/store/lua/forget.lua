-- forget: removes what is stored of a recipient, at one tenant or at all.
-- KEYS  1 recipient  2 outbox of the partition  3 opted-out numbers of the partition
--       4... lockouts of the recipient, one for each tenant that is meant
-- ARGV  1 tenant, '' for all  2 '1': also the sends, the wrong codes and the locks  3 '1': also the opt-out
--       4 member of the recipient in KEYS[3]  5, 6 key prefixes of verifications and messages in this partition
-- Reaches by template: the verifications that the recipient's chains name, and their messages, in the slot of KEYS.
-- returns {'forgotten', now, verifications removed, '1' if an opt-out was removed, ms until the counts end,
--          ms until the last lock ends, ms until the opt-out ends}; 0 for what there is not
-- Invariant: without ARGV[2] no limit, cooldown, chain or lock gets shorter; a repeated call changes nothing.
--@include _clock _ttl _record _window _recipient
local now = now_ms()
local fields = redis.pcall('HGETALL', KEYS[1])
if fields.err then fields = {} end
local removed, own_fields = 0, {}
for at = 1, #fields, 2 do
  local kind, tenant = string.match(fields[at], '^([cf]):([^:]*)')
  if kind and (ARGV[1] == '' or tenant == ARGV[1]) then
    own_fields[#own_fields + 1] = fields[at]
    local chain = kind == 'c' and read_chain(KEYS[1], fields[at]) or {id = ''}
    if chain.id ~= '' then
      removed = removed + redis.call('DEL', ARGV[5] .. chain.id)
      redis.call('DEL', ARGV[6] .. chain.id)
      redis.call('ZREM', KEYS[2], chain.id)
      chain.id = ''
      write_chain(KEYS[1], fields[at], chain)
    end
  end
end

if ARGV[2] == '1' then
  for at = 4, #KEYS do redis.call('DEL', KEYS[at]) end
  if ARGV[1] == '' then
    redis.call('DEL', KEYS[1])
  elseif own_fields[1] then
    redis.call('HDEL', KEYS[1], unpack(own_fields))
  end
end
local opt_out_removed = ARGV[3] == '1' and redis.call('ZREM', KEYS[3], ARGV[4]) == 1

local locked_ms = 0
for at = 4, #KEYS do locked_ms = math.max(locked_ms, redis.call('PTTL', KEYS[at])) end
local opt_out_ms = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[4]) or 0) - now
return {'forgotten', now, removed, opt_out_removed and '1' or '', math.max(0, redis.call('PTTL', KEYS[1])), locked_ms,
  math.max(0, math.ceil(opt_out_ms))}
