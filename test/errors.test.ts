import { expect } from 'chai';
import Koa from 'koa';
import { refuseWithoutStack } from '../lib/errors.js';
import { type ErrorCode, errorCodes, isTollgateError, TollgateError } from '../lib/index.js';
import { clientsOf, serve } from './support/world.js';

const byStatus: Record<number, string> = {
  400: 'validation_failed credentials_conflict token_used organization_required',
  401: 'token_missing token_invalid credentials_invalid session_revoked reauthentication_required second_factor_required',
  402: 'subscription_inactive',
  403: 'role_missing permission_missing claim_missing factor_missing entitlement_missing email_unverified cross_origin ip_not_allowed user_inactive credential_not_allowed',
  404: 'not_found',
  405: 'method_not_allowed',
  409: 'email_taken already_member last_owner last_admin last_credential seats_exhausted subscription_exists conflict idempotency_in_progress',
  413: 'body_too_large',
  415: 'media_type',
  422: 'idempotency_mismatch',
  429: 'rate_limited quota_exceeded',
  500: 'internal',
  503: 'overloaded database_unavailable identity_provider_unavailable payments_unavailable draining',
};
const statuses = Object.fromEntries(
  Object.entries(byStatus).flatMap(([status, codes]) =>
    codes.split(' ').map((code) => [code, Number(status)]),
  ),
);

/** The same module, loaded a second time: what an application with two copies of the package has. */
async function anotherCopy(): Promise<typeof import('../lib/errors.js')> {
  const address = '../lib/errors.js?copy';
  return import(address);
}

describe('errorCodes', () => {
  it('holds every code of the contract with its status, and no other', () => {
    const held = Object.entries(errorCodes).map(([code, { status }]) => [code, status]);
    expect(Object.fromEntries(held)).to.deep.equal(statuses);
  });

  it('gives each code a title, and cannot be changed', () => {
    for (const entry of Object.values(errorCodes)) {
      expect(entry.title).to.match(/^[A-Z].+[^.]$/);
      expect(entry).to.be.frozen;
    }
    expect(errorCodes).to.be.frozen;
  });
});

describe('TollgateError', () => {
  it('has the status of its code, and exposes its message below 500 only', () => {
    for (const code of Object.keys(errorCodes) as ErrorCode[]) {
      const { status, expose } = new TollgateError(code);
      expect({ status, expose }, code).to.deep.equal({ status: statuses[code], expose: status < 500 });
    }
  });

  it('takes its message from the detail, else from the title', () => {
    expect(new TollgateError('not_found').message).to.equal(errorCodes.not_found.title);
    expect(new TollgateError('not_found', { detail: 'No such team' }).message).to.equal('No such team');
  });

  it('says with a 401 how to authenticate and with a 503 when to come back, unless told otherwise', () => {
    expect(new TollgateError('token_missing').headers).to.deep.equal({ 'WWW-Authenticate': 'Bearer' });
    expect(new TollgateError('draining').headers).to.deep.equal({ 'Retry-After': '1' });
    const own = new TollgateError('draining', { headers: { 'Retry-After': '30' } });
    expect(own.headers).to.deep.equal({ 'Retry-After': '30' });
    expect(new TollgateError('conflict').headers).to.deep.equal({});
  });

  it('keeps its cause and its extras apart from each other', () => {
    const cause = new Error('what broke');
    const error = new TollgateError('quota_exceeded', { cause, feature: 'images', limit: 10 });
    expect(error.cause).to.equal(cause);
    expect(error.extras).to.deep.equal({ feature: 'images', limit: 10 });
    expect(new TollgateError('internal')).not.to.have.property('cause');
  });

  it('has a status, expose and headers that can be written, as ctx.throw does', () => {
    const error = new TollgateError('conflict');
    for (const key of ['status', 'expose', 'headers'])
      expect(Object.getOwnPropertyDescriptor(error, key), key).to.include({
        writable: true,
        enumerable: true,
      });
    expect(Object.assign(error, { status: 400, expose: false, headers: { A: 'b' } })).to.include({
      status: 400,
      expose: false,
    });
  });

  it('is answered with its status and headers by Koa itself where problems() is missing', async () => {
    const app = new Koa();
    app.use((ctx) => {
      if (ctx.path === '/assigned')
        ctx.throw(new TollgateError('not_found'), { headers: { 'X-Own': 'yes' }, expose: false });
      throw new TollgateError(ctx.path === '/down' ? 'draining' : 'token_missing', { detail: 'Own words' });
    });
    const { anyone } = clientsOf(await serve(app));

    await anyone().get('/').expect(401, 'Own words').expect('WWW-Authenticate', 'Bearer');
    await anyone().get('/down').expect(503, 'Service Unavailable').expect('Retry-After', '1');
    await anyone().get('/assigned').expect(404, 'Not Found').expect('X-Own', 'yes');
  });
});

describe('a refusal without a stack', () => {
  it('is the same otherwise, and leaves the stacks of other errors as they are', () => {
    const limit = Error.stackTraceLimit;
    const error = refuseWithoutStack('quota_exceeded', { feature: 'images' });
    expect(error).to.deep.include({ code: 'quota_exceeded', status: 429, extras: { feature: 'images' } });
    expect(error.stack).not.to.match(/\n\s+at /);
    expect(new TollgateError('conflict').stack).to.match(/\n\s+at /);
    expect(Error.stackTraceLimit).to.equal(limit);
  });
});

describe('isTollgateError()', () => {
  it('knows an error, and its code when one is given', () => {
    const error: unknown = new TollgateError('conflict');
    expect(isTollgateError(error)).to.equal(true);
    expect(isTollgateError(error, 'conflict')).to.equal(true);
    expect(isTollgateError(error, 'not_found')).to.equal(false);
  });

  it('knows an error of another copy of the package', async () => {
    const copy = await anotherCopy();
    const error: unknown = new copy.TollgateError('conflict');
    expect(error).not.to.be.instanceOf(TollgateError);
    expect(isTollgateError(error, 'conflict')).to.equal(true);
  });

  it('is not deceived by what only looks like one', () => {
    const { message, code, status, extras } = new TollgateError('conflict');
    const facts = { name: 'TollgateError', message, code, status, extras, expose: true, headers: {} };
    const lookAlikes = [facts, Object.assign(new Error(message), facts), 'conflict', 409, null, undefined];
    for (const lookAlike of lookAlikes) expect(isTollgateError(lookAlike)).to.equal(false);
  });
});
