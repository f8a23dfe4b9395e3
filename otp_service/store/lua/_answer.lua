-- An answer that is kept for who asks again is one packed array, in the slot of what it tells of: the fingerprint of
-- the request, and the sealed answer. A damaged one is an answer that nobody can open: the work is not done again.
local function answer_of(key, fingerprint)
  local packed = redis.pcall('GET', key)
  if not packed then return nil end
  local unpacked, kept = pcall(cmsgpack.unpack, packed)
  if not unpacked or type(kept) ~= 'table' or type(kept[2]) ~= 'string' then return '' end
  return kept[1] == fingerprint and kept[2] or nil
end

local function answer_store(key, fingerprint, answer, life_ms)
  redis.call('SET', key, cmsgpack.pack({fingerprint, answer}), 'PX', life_ms)
end
