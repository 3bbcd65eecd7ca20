import { Pool } from 'undici';

/** Started by load.ts: sends what it is told to, and answers with what came back. */
export interface Load {
  readonly origin: string;
  readonly path: string;
  /** One for all requests, or several that take turns. */
  readonly headers: Record<string, string> | readonly Record<string, string>[];
  /** Bodies of POST requests, as JSON, which take turns; GET without. */
  readonly bodies?: readonly object[];
  readonly requests: number;
  /** Default 64. */
  readonly connections?: number;
  /** What every answer has in it; one that has not counts as of status 0. */
  readonly containing?: string;
}

/** How many answers had each status. */
export type Answers = Record<number, number>;

const pools = new Map<string, Pool>();

process.on('message', async (load: Load) => process.send?.(await send(load)));
process.on('disconnect', () => process.exit());

async function send({
  origin,
  path,
  headers,
  bodies,
  requests,
  connections = 64,
  containing = '',
}: Load): Promise<Answers> {
  const pool = poolOf(origin, connections);
  const several = Array.isArray(headers) ? headers : [headers];
  const answers: Answers = {};
  let left = requests;
  const sender = async () => {
    while (left > 0) {
      left -= 1;
      const sent = bodies && JSON.stringify(bodies[left % bodies.length]);
      const { statusCode, body } = await pool.request({
        method: sent === undefined ? 'GET' : 'POST',
        path,
        headers: {
          ...(sent !== undefined && { 'content-type': 'application/json' }),
          ...several[left % several.length],
        },
        body: sent ?? null,
      });
      const status = (await body.text()).includes(containing) ? statusCode : 0;
      answers[status] = (answers[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, sender));
  return answers;
}

/** Kept from run to run, so that connecting is measured once at most, in the warm-up. */
function poolOf(origin: string, connections: number): Pool {
  const known = pools.get(`${origin} ${connections}`);
  if (known) return known;
  const pool = new Pool(origin, { connections, keepAliveTimeout: 600_000 });
  pools.set(`${origin} ${connections}`, pool);
  return pool;
}
