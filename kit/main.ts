import { randomBytes, randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { ready } from 'koa-tollgate';
import mongoose from 'mongoose';
import { startMongo } from '../test/support/mongodb.js';
import { type Result, runRound } from './run.js';

const usage = `npm run kit -- [options]

Lets processes consume quotas through consumeQuota(), first undisturbed, then while some are killed, limits change and periods
end; holds what they were granted against what MongoDB has counted. MONGODB_URI names the replica set; without it one is started.
The database tollgate_kit_… is made there, and dropped in the end.

  --processes n      at the same time (4)
  --in-flight n      consumptions of each process at the same time (64)
  --consumptions n   of both rounds together, at least (200000)
  --keys n           counters, some of them busier than others (200)
  --seed n           of the random choices
`;

function optionsOf(args: string[]) {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args,
    options: {
      processes: text,
      'in-flight': text,
      consumptions: text,
      keys: text,
      seed: text,
      help: { type: 'boolean' },
    },
  });
  if (values.help) return undefined;
  const read = (name: Exclude<keyof typeof values, 'help'>, otherwise: number) => {
    const value = Number(values[name] ?? otherwise);
    if (!Number.isSafeInteger(value) || value < 1)
      throw new TypeError(`--${name} must be a positive integer`);
    return value;
  };
  return {
    processes: read('processes', 4),
    inFlight: read('in-flight', 64),
    consumptions: read('consumptions', 200_000),
    keys: read('keys', 200),
    seed: read('seed', randomInt(1, 2 ** 31)),
  };
}

function show(what: string, result: Result): void {
  const { seconds, requests, outcomes, commands } = result;
  const total = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  const rate = (count: number) => Math.round(count / seconds).toLocaleString('en');
  console.log(`
${what}
  consumptions        ${requests.toLocaleString('en')} in ${seconds.toFixed(1)} s: ${rate(requests)} a second
  granted / denied    ${outcomes.granted.toLocaleString('en')} / ${outcomes.denied.toLocaleString('en')}, and ${outcomes.refused + outcomes.unknown} answered 503
  round trips each    ${(commands / total).toFixed(3)}
  killed processes    ${result.killed}; plan changes ${result.planChanges}, and ${result.refusedChanges} answered 503; ended periods ${result.turns}
  units counted       ${result.counted.toLocaleString('en')}
  units granted       ${result.granted.toLocaleString('en')}, less what was given back
  leaked              ${result.leaked.toLocaleString('en')} (in flight at a kill, or given back too late: up to ${result.explained.toLocaleString('en')})
  ${result.violations.length === 0 ? 'every invariant held' : `VIOLATIONS:\n  ${result.violations.join('\n  ')}`}`);
}

async function main(options: NonNullable<ReturnType<typeof optionsOf>>): Promise<boolean> {
  const own = process.env.MONGODB_URI;
  const mongo = own ? { uri: own, stop: async () => {} } : await startMongo();
  const name = `tollgate_kit_${randomBytes(4).toString('hex')}`;
  console.log(`${JSON.stringify(options)} in the database ${name}`);
  const results: Result[] = [];
  try {
    for (const [disturbed, what] of [
      [false, 'Undisturbed'],
      [true, 'Disturbed'],
    ] as const) {
      const dbName = `${name}_${disturbed ? 2 : 1}`;
      const connection = await mongoose.createConnection(mongo.uri, { dbName }).asPromise();
      try {
        await ready(connection);
        const half = Math.ceil(options.consumptions / 2);
        const result = await runRound({
          ...options,
          uri: mongo.uri,
          connection,
          consumptions: half,
          disturbed,
        });
        show(what, result);
        results.push(result);
      } finally {
        await connection.dropDatabase();
        await connection.destroy(true);
      }
    }
  } finally {
    await mongo.stop();
  }
  return results.every(({ violations }) => violations.length === 0);
}

const options = optionsOf(process.argv.slice(2));
if (!options) console.log(usage);
else process.exit((await main(options)) ? 0 : 1);
