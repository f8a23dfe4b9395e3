-- find_message: finds the message that a gateway knows by an id of its own.
-- KEYS  1 recipient
-- ARGV  1 provider  2 the gateway's message id  3 key prefix of verifications in this partition
-- Reaches by template: the verifications that the recipient's chains name, in the slot of KEYS.
-- returns {id}; '' if no current message of the recipient has that id at that provider
-- Invariant: nothing is written.
--@include _clock _ttl _record _window _recipient _delivery
local now = now_ms()
local fields = redis.pcall('HGETALL', KEYS[1])
if fields.err then return {''} end
for at = 1, #fields, 2 do
  if string.sub(fields[at], 1, 2) == 'c:' then
    local chain = read_chain(KEYS[1], fields[at])
    local record = chain.id ~= '' and read_record(ARGV[3] .. chain.id, now)
    local delivery = record and find_delivery(record, ARGV[1])
    if delivery and delivery[5] == ARGV[2] then return {chain.id} end
  end
end
return {''}
