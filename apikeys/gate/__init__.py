"""The gate: decides on each API call. Two things here are worth a proof and a budget.

**G1. No call that begins after a rotation (or anything else that revokes) has returned is accepted with the old
secret.**

A gate process keeps what it read (`known`). Whoever changes what may be kept takes the next revision in the change's
own transaction, under a lock held until commit (`accounts.revisions.take`), so revisions become visible in order;
having committed, it waits W before it answers (`accounts.revisions.settle`). A gate polls "anything newer than r?"
(`changes`). It reads its clock, t0, *before* it sends the poll; it drops what the answer names; from then on what is
left counts while `now - t0 < L`, `now` being read for each decision, after the request's last byte. Clocks are those
of the machine's whole uptime, suspensions included (`clock`).

Let C be the commit of a change, and let a gate accept the old secret at c, in its own clock. Then:

1. c < t0 + L, where t0 belongs to the newest answered poll (checked at the decision, kept or freshly read alike).
2. That poll did not bring the change: it would have dropped the record, and a read counts only if the store that it
   saw had the newest change that any poll has seen by the time its result arrives; else it is made again. A poll that
   did not see the change was answered from a snapshot before C; it was sent before that, and t0 taken before it was
   sent. So t0 was before C.
3. L seconds of the gate's clock are at most L / (1 - rho) true ones, and W = L (1 + rho) / (1 - rho) seconds of the
   revoker's clock at least L / (1 - rho), where rho bounds how far a clock's *rate* is off. So c, in true time, is
   before C + L / (1 - rho), which is not after the moment the revoker answered. A call that begins later is not
   accepted.

Nothing else is assumed: no clock is compared with another machine's, no message must arrive, nobody knows how many
gates there are, and a process that was stopped or swapped out fails check 1 on waking. A change is known by its number
and a random mark, since a store that was set back (a backup, a replica that was behind) gives the same numbers again to
other changes. Each poll asks for the mark of the change that the one before saw last: if the store lacks it, every call
gets 503 until the gate is started anew. Each read asks for it in its one statement, so that between two polls nothing
is taken from such a store either: what was read waits for the next poll's word. A store in recovery counts as one that
cannot be asked. A process that keeps nothing (`direct`) has L = 0. Limit: a virtual machine resumed without its
clock advanced.

**What ends by a date** (an announced end of API keys, brownouts) is judged at c by the database's clock: its time in
the newest poll's answer, plus the gate's own seconds since t0, plus what two clocks drift apart within a lease, which
is 2 rho L / (1 - rho) (`clock.database_ahead`). The database looked at its clock after t0, so that this is never behind
it: an end is never judged late, whatever the gate's wall clock says. Bringing one forward is a change like any other.

**Budget of the hot path**, a kept secret as bearer token (`Gate.check_plain`): no I/O, no lock, no exception, and

    one match of an expression that reads the request (`usual`, 0.7 to 1.5 us), one digest (BLAKE2b, 0.4 us), one
    dictionary look-up, two clock reads, the two limits, one counter in mapped memory, one append to the call writer's
    queue, one bytes formatting.

What costs more goes elsewhere: into the record when it is read (`kept.Kept.head`), into the storing process (masking,
naming the caller, decoding: `auditlog.call_rows`), to the end of the loop's turn (writing answers: `turns`), or onto
the long way round (httptools, then `Gate.check`), which knows every transport and every mistake and gives the same
verdicts. A call of one of many accounts costs 2.5 us more (`packed`). Measured by `./portal bench gate`.
"""
