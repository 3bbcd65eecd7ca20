import { equal } from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { quotaWorld, unitsOf } from './quota-world.js';
import { compare, print, type Variant } from './runner.js';

/** Four processes that use up one counter, 32 requests of each under way. */
export async function severalProcesses(): Promise<void> {
  const { uri, dbName, connection, stop } = await quotaWorld();
  const program = new URL('./quota-process.ts', import.meta.url);
  const processes = Array.from({ length: 4 }, () =>
    fork(program, [uri, dbName], { execArgv: ['--import', 'tsx'] }),
  );
  await Promise.all(processes.map((each) => once(each, 'message')));

  const units = async (ours: boolean): Promise<number> => {
    if (ours) return unitsOf(connection, 'ours');
    const [row] = await connection.collection('rlf').find().toArray();
    return row?.points ?? 0;
  };
  const variant = (name: string, ours: boolean, requests: number): Variant => ({
    name,
    async start() {
      let used = await units(ours);
      const run = async () => {
        await Promise.all(processes.map((each) => done(each, { ours, requests: requests / 4 })));
        return requests;
      };
      const check = async () => {
        const before = used;
        used = await units(ours);
        equal(used - before, requests, `${name}: units`);
      };
      return { run, check, stop: () => {} };
    },
  });

  console.log('\n### four processes, 32 in flight each, one counter\n');
  const rows = await compare(
    [variant('rate-limiter-flexible on MongoDB', false, 1_000), variant('consumeQuota', true, 20_000)],
    { rounds: 5 },
  );
  print(rows);
  for (const each of processes) each.disconnect();
  await stop();
}

async function done(each: ChildProcess, order: object): Promise<void> {
  each.send(order);
  await once(each, 'message');
}
