-- answer_keep: keeps an answer that no other script has kept together with what it tells of.
-- KEYS  1 the answer   ARGV  1 fingerprint of the request  2 the sealed answer  3 life ms
-- returns {'kept'} or {'known'}: the request has its answer
--@include _answer
if answer_of(KEYS[1], ARGV[1]) then return {'known'} end
answer_store(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return {'kept'}
