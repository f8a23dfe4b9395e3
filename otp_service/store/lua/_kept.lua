-- What stands under an idempotency key is one packed array, small enough to be kept for a day: the fingerprint of the
-- request, the mark of who works under it, until when that one is waited for, and the answer, once there is one.
local function kept_of(key)
  local packed = redis.pcall('GET', key)
  if not packed then return nil end
  local unpacked, kept = pcall(cmsgpack.unpack, packed)
  if not unpacked or type(kept) ~= 'table' or type(kept[1]) ~= 'string' or type(kept[3]) ~= 'number' then
    return {fingerprint = '', mark = '', until_ms = 0}  -- damaged: what was done under the key is not known, so none may
  end
  return {fingerprint = kept[1], mark = kept[2], until_ms = kept[3], answer = kept[4]}
end

local function kept_store(key, kept)
  redis.call('SET', key, cmsgpack.pack({kept.fingerprint, kept.mark, kept.until_ms, kept.answer}), 'KEEPTTL')
end

-- Why nobody may work under the key now, or nil.
local function kept_stops(kept, fingerprint, now)
  if not kept then return nil end
  if kept.fingerprint ~= fingerprint then return {'mismatch'} end
  if kept.answer then return {'replay', kept.answer} end
  if kept.until_ms > now then return {'in_flight', kept.until_ms - now} end
  return nil
end

local function kept_begin(key, fingerprint, mark, silent_ms, life_ms, now)
  kept_store(key, {fingerprint = fingerprint, mark = mark, until_ms = now + tonumber(silent_ms)})
  live_until(key, now + tonumber(life_ms), now)
end
