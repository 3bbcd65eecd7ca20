import { Pool } from 'undici';

/** Started by load.ts: sends what it is told to, and answers with what came back. */
export interface Load {
  readonly origin: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly requests: number;
}

/** How many answers had each status. */
export type Answers = Record<number, number>;

const connections = 64;
const pools = new Map<string, Pool>();

process.on('message', async (load: Load) => process.send?.(await send(load)));
process.on('disconnect', () => process.exit());

async function send({ origin, path, headers, requests }: Load): Promise<Answers> {
  const pool = poolOf(origin);
  const answers: Answers = {};
  let left = requests;
  const sender = async () => {
    while (left > 0) {
      left -= 1;
      const { statusCode, body } = await pool.request({ method: 'GET', path, headers });
      await body.text();
      answers[statusCode] = (answers[statusCode] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, sender));
  return answers;
}

/** Kept from run to run, so that connecting is measured once at most, in the warm-up. */
function poolOf(origin: string): Pool {
  const known = pools.get(origin);
  if (known) return known;
  const pool = new Pool(origin, { connections, keepAliveTimeout: 600_000 });
  pools.set(origin, pool);
  return pool;
}
