-- inbound_claim: leases the inbox of a provider to one replica.
-- KEYS  1 lease  2 cursor
-- ARGV  1 token of the replica  2 lease ms
-- returns {'claimed', cursor or ''} {'busy'}: another replica reads the inbox, or it is not time yet
-- Invariant: of N parallel calls at most one claims, and none before the lease ends.
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'busy'} end
return {'claimed', redis.call('GET', KEYS[2]) or ''}
