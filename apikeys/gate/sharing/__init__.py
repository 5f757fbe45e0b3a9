"""Limits that hold over all processes and machines (G8): the algorithm and why it is right.

**Burst.** What is shared is not calls but *parts of the limit*. Of a limit of N, process i holds a part a(i): so many
calls may it have accepted in the last ten seconds, by its own clock and its own exact window (`limits.Window`). The
shared counter keeps who holds what, and hands out what nobody holds, so that the sum of all a(i) is at most N.

1. At every moment the calls that i accepted in the last ten seconds, u(i), are at most a(i): it accepts only below
   a(i), u(i) else only falls, and i never lowers a(i) below u(i). (For an equal share it may go by less, see below, but
   holds u(i) none the less.)
2. A part wanders in this order: its holder lowers a(i), tells the counter, the counter raises another's. So the sum of
   what processes go by is at every moment at most the sum that the counter keeps, and that at most N.
3. Hence the sum of u(i) is at most N at every moment: in any ten seconds no more than N calls are accepted.

What was used comes back to who used it, ten seconds later: a steady load needs no counter at all, whatever its speed. A
process that is the only one to be called for an account holds all of it, and its headers are exact. Where another
needs some, it says so at the counter (*wanted*); holders look ten times a second, and part with half of what they have
not used (`Window.give`), or say that they have nothing left. Near the limit the halves are single calls. A call that
finds nothing left is refused when all who hold something have said so; where somebody has not within 0.8 s it gets
503, since nobody knows that the limit is reached. No clock is compared with another's; a window's ten seconds are up
to 10.1.

**The day.** What is used today does not come back, so calls of the day are lent: a process holds a lease of some, and
the store keeps how many were lent of each account's day (`days`), never more than the limit. A lease is at most a
minute's worth and an eighth of what is left, near the limit one call; it is renewed when half is used, before it is
needed. What is not used goes back where somebody wants it, or at the end. Every process takes the time of day from the
store's clock, as so much ahead of its own `boot_seconds`. Lent calls are kept in the store even where Redis is shared:
they must outlive it. "Remaining today" is what is lent to nobody, less what others may have accepted since that was
heard (at most their part of the burst limit, within ten seconds), and the own lease: never more than there is.

**Who lives.** A process that dies holds its part for good, so somebody must say that it is dead, and the process, if it
lives after all, must know. Both in the store, without which no gate accepts anything (`members`, `undertaker`): who
misses something *suspects* its holders; who is suspected lowers that at its next poll; who has not after two seconds is
declared dead. A process makes sure that it is not dead with each poll of G1, in the same moment, so that the proof in
`apikeys.gate` holds for this, too: SETTLE_SECONDS after the declaration it accepts nothing by what it held. Ten seconds
later (SPENT_SECONDS) its last calls count no more, and others may have its part. What was lent to it of the day stays
spent.

**Redis forgets.** Its numbers count for one run of the server and one *epoch* of ours. If either is another one, it
knows nothing and hands out nothing until everybody who may hold something has *checked in* with what it holds
(`counter.lua`; who that may be is in the store). Until then each process goes on with its part: the sum is what it was.
A process numbers its questions, and one that a network kept back until a newer was answered changes nothing.

**Redis is gone**, for somebody, for more than a second: that process declares *equal shares* in the store, N / n for
each of n processes. Everybody hears of it with the next poll and keeps to less at once, and SPENT_SECONDS later, when
nobody's calls of before count any more, takes a share that is larger than what it held. So the sum is at most N at
every moment. /readyz, the log and `keyportal_limits_shared` say so. When everybody reaches Redis again, each checks in
with what it holds or has used, whichever is more. Its share stays an equal one, which it raises no more, until the
counter knows everybody's: who left it earlier could use again what it had used beyond, while another that has not
checked in raises its own. A process whose part is nothing answers 503, not 429: no limit was reached.

A question may be on its way while any of this happens. It is put again in terms of what is held by then
(`Question.restate`), and an answer is applied before the next question is put: one that spoke of less than what its
process goes by would have the counter give the difference away.

**The store's table**, where there is no Redis, can neither forget nor be gone alone: nothing is accepted without the
store. While it takes no writes, each process goes on with what it holds.

**From one to the other.** A process that is started without Redis meets others that counted by it, or the other way
round; neither counter knows what the other handed out. So a process says in the store which kind it uses, and has all
keep to equal shares where others use the other one. They end as above, by the counter that everybody uses and has told:
for the table the rows of the processes keep that (`told_epoch`), those that have ended included, until what they held
must be spent. So a Redis that is gone for good is left by starting everything anew without it, in whatever order.
"""
