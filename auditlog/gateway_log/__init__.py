"""What gateways log of the calls that they passed on: completes the call log with what only they know.

The gate knows its verdict and nothing of what the API answered. A gateway's own access log has status, duration and
size, and the request id that the gate gave the call: `lines` reads it, `collector` waits for the call's row,
`completions` fills it in, many at a time, `listeners` and `receiver` take the lines from UDP, sockets and HTTP.
"""
