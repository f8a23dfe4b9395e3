"""`make chaos`: check the service's invariants while it is killed and its gateways fail.

Each seed is one scenario. Fifty callers request a code each, three gateways fail as the seed's random numbers decide,
and at a random event the service is killed with `kill -9` and restarted with the same store. When nothing happens any
more, the invariants are checked: what the gateways really accepted against what the service reports. The gateways run
in this process, so they outlive the service. Leases, holds and backoffs are shortened (`serve_with_short_leases`);
nothing else is changed.

`scenario` draws a scenario from its seed, `faulty_gateways` and `concurrent_callers` act in it, `scenario_run` runs it,
`invariants` checks it, and `seed_summary` prints the results. A seed fixes the faults but not how the processes
interleave, so a seed that violated an invariant may have to run a few times to violate it again.
"""
