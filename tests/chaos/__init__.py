"""`make chaos`: what the service promises while it is killed and its gateways are slow, down and lying.

A seed is one story. Fifty callers ask for a code each, three gateways behave as the seed's dice say, and at a moment
of the seed the service is killed with `kill -9` and started again, on the same store. When nothing moves any more, the
story is judged: what the gateways really took against what the service says. The gateways live in this process and
outlive the service; their `messages` are the truth. Leases, holds and pauses are set short (`serve`), and nothing
else is changed.

`plan` draws a seed's story, `gateways` and `callers` play it, `story` runs it, `judge` says what was broken, `tally`
adds up and writes. The order in which two processes get to run is nobody's to draw: a seed fixes what happens, not
every interleaving, so a seed that broke something may have to be run a few times to break it again.
"""
