// A key check of equal work on fastify and Redis: node fastify_redis.mjs PORT KEYS REDIS_URL
// Digest, look-up, a counter for each 10 seconds, and a line in a stream as the call log; one pipeline for the latter two.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fastify from "fastify";
import Redis from "ioredis";

const [port, keys, url] = process.argv.slice(2);
const redis = new Redis(url, { enableAutoPipelining: true, keyPrefix: "keyportal-bench:" });
const digest = (secret) => createHash("sha256").update(secret).digest("hex");

const seeding = redis.pipeline();
readFileSync(keys, "utf8").trim().split("\n").forEach((key, account) =>
  seeding.set(`key:${digest(key)}`, JSON.stringify({ account, scopes: "*", active: true }), "EX", 3600));
await seeding.exec();

const app = fastify();
app.get("/", async (request, reply) => {
  const authorization = request.headers.authorization ?? "";
  const kept = authorization.startsWith("Bearer ") && (await redis.get(`key:${digest(authorization.slice(7))}`));
  const key = kept ? JSON.parse(kept) : null;
  if (!key?.active) return reply.code(401).send({ status: "error" });
  const window = `window:${key.account}:${Math.floor(Date.now() / 10_000)}`;
  const [calls] = await Promise.all([
    redis.incr(window),
    redis.expire(window, 30),
    redis.xadd("calls", "MAXLEN", "~", "100000", "*", "account", key.account, "status", 204, "method", request.method,
      "path", request.url, "agent", request.headers["user-agent"] ?? "", "address", request.ip),
  ]);
  if (calls > 1_000_000_000) return reply.code(429).send({ status: "error" });
  return reply.code(204).header("X-Account-Id", key.account).header("X-RateLimit-Remaining", 1_000_000_000 - calls).send();
});
await app.listen({ port: Number(port), host: "127.0.0.1" });
