-- answer_read: the answer that is kept for who asks again.
-- KEYS  1 the answer   ARGV  1 fingerprint of the request
-- returns {'replay', the sealed answer} or {'none'}
--@include _answer
local answer = answer_of(KEYS[1], ARGV[1])
if answer then return {'replay', answer} end
return {'none'}
