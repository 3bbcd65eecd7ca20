import type { ParameterizedContext } from 'koa';
import mongoose, { type Connection } from 'mongoose';
import { refuse } from '../errors.js';
import type { Snapshot, Strictness } from './snapshot.js';

const chosen = Symbol('koa-tollgate.connection');

/**
 * The connection that this request works on: the one recorded by the first middleware that was given one, else
 * `mongoose.connection`.
 *
 * @throws {TollgateError} `internal` (500) when a later middleware was given another one, or when nothing was ever
 * opened: the message says what to do
 */
export function connectionOf(ctx: ParameterizedContext, given?: Connection): Connection {
  const scope = ctx as { [chosen]?: Connection };
  const recorded = scope[chosen];
  if (recorded && given && recorded !== given) {
    throw refuse('internal', {
      detail:
        'Two middlewares of one request were given different connections; give all of them the same one',
    });
  }
  scope[chosen] = recorded ?? opened(given);
  return scope[chosen];
}

const strictly = Symbol('koa-tollgate.strict');

/**
 * Whether this request is decided by what the database says now: from the first middleware that was made with `strict: true`
 * on, for all that follow; what one command has read for all of them is in the snapshot.
 */
export function strictOf(ctx: ParameterizedContext, given: boolean): Strictness {
  const scope = ctx as { [strictly]?: Strictness };
  if (given) scope[strictly] ??= true;
  return scope[strictly] ?? false;
}

const alone = Symbol('koa-tollgate.alone');

/** Says whether guards decide by what a strict `authenticate()` could read for them; where none does, it need not. */
export function tellGuards(ctx: ParameterizedContext, follow: boolean): void {
  (ctx as { [alone]?: boolean })[alone] = !follow;
}

/** What was said last; true where nothing was. */
export const guardsFollow = (ctx: ParameterizedContext): boolean => !(ctx as { [alone]?: boolean })[alone];

/** Lets the guards that follow on a strict request decide by what was read just now. */
export function foresee(ctx: ParameterizedContext, snapshot: Snapshot): void {
  (ctx as { [strictly]?: Strictness })[strictly] = snapshot;
}

/** The connection itself, unless nobody ever opened it: then a request would wait for ever, so this says so. */
export function opened(connection: Connection = mongoose.connection): Connection {
  if (!(connection instanceof mongoose.Connection)) {
    throw new TypeError('The connection must be a Mongoose connection, such as mongoose.connection');
  }
  if (!connection.getClient()) {
    throw refuse('internal', {
      detail: 'The Mongoose connection was never opened; call mongoose.connect(uri), or pass { connection }',
    });
  }
  return connection;
}
