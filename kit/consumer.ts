import mongoose from 'mongoose';
import { consume, type Outcome, publicDesk } from './consume.js';
import type { Entry } from './ledger.js';
import { randomOf } from './random.js';

/** A process that consumes until it is told to stop, or killed; consumers.ts starts it. */
export interface Orders {
  readonly uri: string;
  readonly dbName: string;
  readonly keys: number;
  readonly inFlight: number;
  readonly seed: number;
}

/** What has happened since the last one. */
export interface Report {
  readonly entries: readonly Entry[];
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** Units whose outcome is unknown. */
  readonly open: number;
  /** Commands sent to MongoDB. */
  readonly commands: number;
  readonly isLast: boolean;
}

const { uri, dbName, keys, inFlight, seed }: Orders = JSON.parse(process.argv[2] ?? '');
const none = (): Record<Outcome, number> => ({ granted: 0, denied: 0, refused: 0, unknown: 0 });
let entries: Entry[] = [];
let [outcomes, open, commands, isOver] = [none(), 0, 0, false];
let sending: Promise<void> | undefined;

/** One message for all that a turn of the event loop brings; each consumption waits until the parent has it. */
function send(isLast = false): Promise<void> {
  const report: Report = { entries, outcomes, open, commands, isLast };
  [entries, outcomes, open, commands] = [[], none(), 0, 0];
  return new Promise((resolve) => process.send?.(report, () => resolve()));
}

function note(entry: Entry): Promise<void> {
  entries.push(entry);
  sending ??= new Promise((resolve) => {
    setImmediate(() => {
      sending = undefined;
      send().then(resolve);
    });
  });
  return sending;
}

function met(outcome: Outcome, units: number): void {
  outcomes[outcome] += 1;
  if (outcome === 'unknown') open += units;
}

process.once('disconnect', () => process.exit());
process.once('message', () => {
  isOver = true;
});
const options = { dbName, autoIndex: false, autoCreate: false, monitorCommands: true };
const connection = await mongoose.createConnection(uri, options).asPromise();
connection.on('error', () => {}); // the kit breaks connections on purpose
connection.getClient().on('commandStarted', ({ commandName, command }) => {
  const isFeed = commandName === 'getMore' || command[commandName] === 'tollgate_revocations';
  if (!isFeed) commands += 1; // what keeps the memory of plans fresh comes by time, not by request
});
const desk = publicDesk(connection);
// Nobody waits for a denial to be told, and when all is used up there is nothing else to tell.
const telling = setInterval(() => send(), 200);
await consume({ desk, keys, inFlight, random: randomOf(seed), note, met, isOver: () => isOver });
clearInterval(telling);
await send(true);
process.disconnect();
