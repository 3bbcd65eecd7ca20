import { createSecretKey, generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import Koa from 'koa';
import {
  assignPlan,
  authenticate,
  authRouter,
  createOrganization,
  createUser,
  healthRouter,
  oauthRouter,
  optionsFromEnv,
  organization,
  organizationRouter,
  problems,
  quota,
  rateLimit,
  requireAllEntitlements,
  requireAnyEntitlement,
  requireEntitlement,
  requireSameOrigin,
  type SharedOptions,
  signIn,
  syncPlans,
  team,
} from '../../lib/index.js';
import { atEnd, clientsOf, inspector, secret, serve } from '../support/world.js';

const pem = { publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } } as const; // biome-ignore format: a pair
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048, ...pem });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256', ...pem });

/** What the compiler would not let through. */
type Wrong = Record<string, unknown>;
const wrong = (options: Wrong) => options as unknown as SharedOptions & { keys: string[] };

/** The factories by name, each made with what it is given beside what it needs. */
const factories: Record<string, (options: SharedOptions) => unknown> = {
  problems: (options) => problems(options),
  authenticate: (options) => authenticate({ keys: [secret], ...options }),
  organization: (options) => organization(options as { optional: true }),
  team: (options) => team(options),
  quota: (options) => quota('images', options),
  rateLimit: (options) => rateLimit({ points: 1, per: 'second', ...options }),
  requireEntitlement: (options) => requireEntitlement('reports', options),
  requireAnyEntitlement: (options) => requireAnyEntitlement(['reports'], options),
  requireAllEntitlements: (options) => requireAllEntitlements(['reports'], options),
  requireSameOrigin: (options) => requireSameOrigin(options),
  authRouter: (options) => authRouter({ keys: [secret], ...options }),
  oauthRouter: (options) => oauthRouter({ keys: [secret], ...options }),
  organizationRouter: (options) => organizationRouter({ keys: [secret], ...options }),
  healthRouter: (options) => healthRouter(options),
};

/** What `make` throws, or rejects with. */
async function failureOf(make: () => unknown): Promise<Error> {
  try {
    await make();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was refused');
}

function setEnvironment(value: string | undefined): void {
  const before = process.env.NODE_ENV;
  const set = (to: string | undefined) => {
    if (to === undefined) delete process.env.NODE_ENV;
    else process.env.NODE_ENV = to;
  };
  atEnd(async () => set(before));
  set(value);
}

function deepFreeze(value: object): object {
  for (const inner of Object.values(value))
    if (Array.isArray(inner) || inner?.constructor === Object) deepFreeze(inner);
  return Object.freeze(value);
}

describe('options', () => {
  for (const [name, make] of Object.entries(factories)) {
    it(`are judged by ${name}() when it is called, all problems at once`, () => {
      expect(() => make(wrong({ accessTtl: 'soon', isuer: 'us', cookies: { secure: 1 } })))
        .to.throw(TypeError)
        .with.property('message')
        .that.matches(new RegExp(`^${name}\\(\\): `))
        .and.matches(/option accessTtl must be a number \(got a string\)/)
        .and.matches(/option cookies\.secure must be .*boolean.* \(got a number\)/)
        .and.matches(/option isuer is unknown; remove it or mend its spelling/);
    });
  }

  it('that are shared are all taken by every factory, undefined ones too, from frozen objects', () => {
    const shared: Required<SharedOptions> = {
      connection: inspector(),
      keys: [secret, Buffer.alloc(32), createSecretKey(Buffer.alloc(48))],
      algorithm: 'HS512',
      issuer: 'us',
      audience: 'them',
      accessTtl: 60,
      refreshTtl: 3_600,
      refreshGrace: 0,
      sessionTtl: 86_400,
      peppers: ['p'.repeat(32)],
      passwordCost: 10,
      publicUrl: 'https://app.example.com',
      allowedOrigins: ['https://other.example.com'],
      cookies: { secure: true, sameSite: 'none' },
      credentialRate: '5/minute',
      mailRate: '100/hour',
      organizationRate: '3/day',
      trustedProxies: 1,
      emailVerification: true,
      afterAuthUrl: '/welcome',
      providers: { telegram: { botToken: '1:token' } },
      mail: async () => {},
      smtpUrl: 'smtp://127.0.0.1:25',
      mailFrom: 'us@example.com',
      appName: 'Us',
      onTheft: 'deactivate',
      cleanupHours: 12,
      quotaIdempotencyTtl: 90,
      templates: { otp: { subject: 'Your code' } },
      passkeys: true,
      stytch: { projectId: 'project-test-1', secret: 'secret-test-1' },
      roleNames: { user: 'customer', admin: 'operator' },
      showUser: ({ id }) => ({ id }),
      showApiKey: ({ id }) => ({ id }),
      redis: new Redis({ lazyConnect: true }),
      redisUrl: 'redis://127.0.0.1:6379',
      redisPrefix: 'us:',
      strict: true,
    };
    const unset = Object.fromEntries(Object.keys(shared).map((option) => [option, undefined]));
    const before = JSON.stringify(shared.allowedOrigins);
    for (const make of Object.values(factories)) {
      expect(() => make(deepFreeze(shared))).not.to.throw();
      expect(() => make({ ...unset, keys: [secret] })).not.to.throw();
    }
    expect(JSON.stringify(shared.allowedOrigins)).to.equal(before);
  });

  it('are not changed by what the application does to its object afterwards', async () => {
    const allowedOrigins = ['https://other.example.com'];
    const options: SharedOptions = { allowedOrigins, publicUrl: 'https://app.example.com' };
    const app = new Koa();
    app.use(problems()).use(requireSameOrigin(options));
    const { withHeaders } = clientsOf(await serve(app));
    allowedOrigins.push('https://evil.example.com');
    options.publicUrl = 'https://evil.example.com';
    await withHeaders({ Origin: 'https://evil.example.com' }).post('/').expect(403);
    await withHeaders({ Origin: 'https://other.example.com' }).post('/').expect(404);
    await withHeaders({ Origin: 'https://app.example.com' }).post('/').expect(404);
  });

  for (const [option, value, type] of [
    ['accessTtl', 0, 'a number'],
    ['accessTtl', 86_401, 'a number'],
    ['accessTtl', '900', 'a string'],
    ['refreshTtl', 1.5, 'a number'],
    ['refreshTtl', null, 'null'],
    ['issuer', 7, 'a number'],
    ['issuer', '', 'a string'],
    ['audience', ['us'], 'an array'],
    ['algorithm', 'none', 'a string'],
    ['algorithm', 'hs256', 'a string'],
    ['passwordCost', 9, 'a number'],
    ['passwordCost', 17, 'a number'],
    ['publicUrl', 'app.example.com', 'a string'],
    ['publicUrl', 'ftp://app.example.com', 'a string'],
    ['allowedOrigins', 'https://app.example.com', 'a string'],
    ['strict', 1, 'a number'],
    ['cookies', true, 'a boolean'],
    ['connection', {}, 'an object (Object)'],
    ['connection', new Map(), 'an object (Map)'],
    ['redis', 'redis://127.0.0.1', 'a string'],
    ['redisUrl', 'http://127.0.0.1', 'a string'],
    ['keys', secret, 'a string'],
    ['peppers', secret, 'a string'],
  ] as const)
    it(`name ${option} and ${type} for ${JSON.stringify(value)}`, () => {
      const start = `authenticate\\(\\): option ${option} .+ \\(got ${type.replace(/[()]/g, '\\$&')}\\)$`;
      expect(() => authenticate(wrong({ keys: [secret], [option]: value }))).to.throw(
        TypeError,
        new RegExp(start),
      );
    });

  for (const [name, value, place] of [
    ['a short pepper', { peppers: ['p'.repeat(32), 'short'] }, 'peppers[1]'],
    ['an origin with a path', { allowedOrigins: ['https://a.example.com/b'] }, 'allowedOrigins[0]'],
    ['every origin', { allowedOrigins: ['*'] }, 'allowedOrigins[0]'],
    ['a misspelt sameSite', { cookies: { sameSite: 'Lax' } }, 'cookies.sameSite'],
  ] as const)
    it(`name the place of ${name}`, () => {
      const make = () => authenticate(wrong({ keys: [secret], ...value }));
      expect(make)
        .to.throw(TypeError, `option ${place} `)
        .with.property('message')
        .that.matches(/\(got a string\)$/);
    });

  it("name what is wrong with a factory's own", () => {
    for (const [make, option] of [
      [() => problems({ types: 7 as unknown as string }), 'types'],
      [() => authenticate({ keys: [secret], optional: 'yes' as unknown as true }), 'optional'],
      [() => organization({ optional: 1 as unknown as true }), 'optional'],
      [() => requireEntitlement('reports', { subject: 'company' as 'team' }), 'subject'],
      [() => quota('images', { amount: 0 }), 'amount'],
      [() => quota('images', { refund: 'always' as 'never' }), 'refund'],
      [() => healthRouter({ checks: { redis: { check: 'ping' as never } } }), 'checks'],
      [() => team({ optional: true } as SharedOptions), 'optional is unknown'],
    ] as const)
      expect(make).to.throw(TypeError, new RegExp(`^\\w+\\(\\): option ${option}`));
  });

  it('of a service are judged like those of a factory', async () => {
    const calls: readonly [string, () => Promise<unknown>, RegExp][] = [
      ['createUser', () => createUser({ email: 'ada', nickname: 1 } as never), /email.*nickname is unknown/],
      ['signIn', () => signIn({ email: 'ada@example.com', password: 'x' }), /option keys is required/],
      ['createOrganization', () => createOrganization({ name: '', slug: 'A B', owner: '7' }), /name.*slug/],
      ['assignPlan', () => assignPlan({ plan: 'pro' } as never), /option subject is required/],
      ['syncPlans', () => syncPlans({ plans: { Pro: { name: 'Pro', tier: -1, features: {} } } }), /plans/],
    ];
    for (const [name, call, expected] of calls) {
      const error = await failureOf(call);
      expect(error).to.be.instanceOf(TypeError);
      expect(error.message)
        .to.match(new RegExp(`^${name}\\(\\): `))
        .and.to.match(expected);
    }
  });
});

describe('keys', () => {
  const refused = (options: SharedOptions) => () => authenticate(options);

  it('are required where tokens are made or read', async () => {
    for (const make of [authenticate, authRouter, organizationRouter] as ((
      options: SharedOptions,
    ) => unknown)[])
      expect(() => make({}), make.name).to.throw(TypeError, /\(\): option keys is required.*32 bytes/);
  });

  it('must be there and long enough', () => {
    expect(refused({ keys: [] })).to.throw(TypeError, /option keys must/);
    for (const short of ['', 'x'.repeat(31), Buffer.alloc(31), createSecretKey(Buffer.alloc(16))])
      expect(refused({ keys: [secret, short] })).to.throw(
        TypeError,
        /option keys ?\[1\] must have at least 32 bytes/,
      );
    expect(refused({ keys: ['é'.repeat(16)] })).not.to.throw();
  });

  it('must be of the type that the algorithm needs', () => {
    for (const [keys, algorithm] of [
      [[rsa.privateKey], 'HS256'],
      [[rsa.publicKey], 'HS256'],
      [[secret], 'RS256'],
      [[secret], 'ES256'],
      [[rsa.privateKey], 'ES256'],
      [[p256.privateKey], 'RS256'],
      [[p256.privateKey], 'PS256'],
      [[secret, rsa.privateKey], undefined],
    ] as const)
      expect(refused({ keys, algorithm }), algorithm).to.throw(
        TypeError,
        /option keys.*needs one of type (secret|rsa|ec)/,
      );
    expect(refused({ keys: [rsa.privateKey, rsa.publicKey], algorithm: 'PS256' })).not.to.throw();
    expect(refused({ keys: [p256.publicKey], algorithm: 'ES256' })).not.to.throw();
  });

  it('must be strong enough for the algorithm, and on its curve', () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024, ...pem });
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384', ...pem });
    expect(refused({ keys: [weak.privateKey], algorithm: 'RS256' })).to.throw(TypeError, /option keys.*2048/);
    expect(refused({ keys: [p384.privateKey], algorithm: 'ES256' })).to.throw(TypeError, /option keys/);
  });

  it('are read as PEM wherever that begins, so that no public key passes for a secret', () => {
    expect(refused({ keys: [`\n${rsa.publicKey}`] })).to.throw(
      TypeError,
      /option keys.*needs one of type secret/,
    );
    expect(refused({ keys: [`\n${rsa.publicKey}`], algorithm: 'RS256' })).not.to.throw();
  });

  it('must be able to sign where tokens are made', () => {
    const make = () => authRouter({ keys: [rsa.publicKey, rsa.privateKey], algorithm: 'RS256' });
    expect(make).to.throw(TypeError, /^authRouter\(\): option keys.*private/);
  });

  it('are named by the type of the one that is wrong', () => {
    for (const [key, type] of [
      [null, 'null'],
      [7, 'a number'],
      [{ kty: 'oct' }, 'an object (Object)'],
      ['short', 'a string'],
    ] as const) {
      const make = refused(wrong({ keys: [key] }));
      expect(make).to.throw(TypeError, /option keys ?\[0\] .*(secret|32 bytes)/);
      expect(make).to.throw(TypeError).with.property('message').that.includes(`(got ${type})`);
    }
  });

  it('are all judged at once', () => {
    expect(refused({ keys: ['short', secret, 'brief'] })).to.throw(TypeError, /\[0\].*\[2\]/s);
  });
});

describe('an error about options', () => {
  it('never prints a value that may be a secret', async () => {
    const marker = 'xyzzy';
    const values: Wrong[] = [
      { keys: [marker] },
      { keys: marker },
      { keys: [`-----BEGIN PRIVATE KEY-----\n${marker}\n-----END PRIVATE KEY-----`], algorithm: 'RS256' },
      { keys: [{ key: marker }] },
      { keys: [marker.repeat(10)], algorithm: 'RS256' },
      { keys: [{ toString: () => marker, [Symbol.toPrimitive]: () => marker }] },
      { peppers: [marker] },
      { peppers: marker },
      { peppers: { [marker.length]: marker } },
      { publicUrl: `redis://user:${marker}@example.com` },
      { allowedOrigins: [`https://user:${marker}@example.com`] },
      { connection: `mongodb://user:${marker}@example.com` },
      { connection: { uri: marker } },
      { redis: `redis://user:${marker}@example.com` },
      { redisUrl: `user:${marker}@example.com` },
      { issuer: [marker] },
      { algorithm: marker },
      { cookies: marker },
      { clientSecret: marker },
    ];
    for (const value of values)
      for (const [name, make] of Object.entries(factories)) {
        const { message, stack = '' } = await failureOf(() => make(wrong(value)));
        expect(message + stack.split('\n    at ')[0], `${name} ${Object.keys(value)}`).not.to.include(marker);
      }
    const { message } = await failureOf(() =>
      createUser({ email: marker, password: marker.slice(0, 3), name: 7 } as never),
    );
    expect(message).not.to.include(marker.slice(0, 3));
  });
});

describe('the rates of guesses, mails and new organizations', () => {
  it('may be off, but in production, and are nothing else', () => {
    for (const [option, variable] of [
      ['credentialRate', 'TOLLGATE_CREDENTIAL_RATE'],
      ['mailRate', 'TOLLGATE_MAIL_RATE'],
      ['organizationRate', 'TOLLGATE_ORGANIZATION_RATE'],
    ] as const) {
      setEnvironment(undefined);
      expect(optionsFromEnv({ [variable]: 'off' })).to.deep.equal({ [option]: 'off' });
      for (const wrong of ['5', '0/minute', '5/year', 'never'])
        expect(() => problems({ [option]: wrong }), wrong).to.throw(
          TypeError,
          `${option} must be a rate such as`,
        );
      setEnvironment('production');
      expect(() => problems({ [option]: 'off' })).to.throw(
        TypeError,
        `${option} must not be off in production`,
      );
      expect(() => optionsFromEnv({ [variable]: 'off' })).to.throw(TypeError, variable);
      expect(() => problems({ [option]: '10/hour' })).not.to.throw();
    }
  });
});

describe('cookies', () => {
  it('must be secure in production', () => {
    setEnvironment('production');
    for (const make of Object.values(factories)) {
      expect(() => make({ cookies: { secure: false } })).to.throw(
        TypeError,
        /option cookies\.secure must be true/,
      );
      expect(() => make({ cookies: { secure: true } })).not.to.throw();
      expect(() => make({ cookies: {} })).not.to.throw();
    }
    expect(() => optionsFromEnv({ TOLLGATE_COOKIE_SECURE: 'false' })).to.throw(
      TypeError,
      'TOLLGATE_COOKIE_SECURE',
    );
  });

  it('may be insecure in development, but not with sameSite none', () => {
    setEnvironment(undefined);
    expect(() => authenticate({ keys: [secret], cookies: { secure: false } })).not.to.throw();
    for (const sameSite of ['lax', 'strict'] as const)
      expect(() => problems({ cookies: { secure: false, sameSite } })).not.to.throw();
    expect(() => problems({ cookies: { secure: false, sameSite: 'none' } })).to.throw(
      TypeError,
      /option cookies.*none.*secure/,
    );
    expect(() => problems({ cookies: { sameSite: 'none' } })).not.to.throw();
  });
});

describe('optionsFromEnv()', () => {
  const long = (letter: string) => letter.repeat(40);

  it('reads every variable', () => {
    expect(
      optionsFromEnv({
        TOLLGATE_SECRET: ` ${long('a')} ,${long('b')},`,
        TOLLGATE_PEPPER: `${long('c')} , ${long('d')}`,
        TOLLGATE_PUBLIC_URL: 'https://app.example.com',
        TOLLGATE_ALLOWED_ORIGINS: 'https://a.example.com, https://b.example.com:8443',
        TOLLGATE_COOKIE_SAMESITE: 'none',
        TOLLGATE_COOKIE_SECURE: 'true',
        TOLLGATE_JWT_ALGORITHM: 'HS384',
        TOLLGATE_ACCESS_TTL: '60',
        TOLLGATE_REFRESH_TTL: '86400',
        TOLLGATE_REFRESH_GRACE: '0',
        TOLLGATE_REDIS_URL: 'rediss://:password@redis.example.com:6380/1',
        TOLLGATE_REDIS_PREFIX: 'shop:',
      }),
    ).to.deep.equal({
      keys: [long('a'), long('b')],
      peppers: [long('c'), long('d')],
      publicUrl: 'https://app.example.com',
      allowedOrigins: ['https://a.example.com', 'https://b.example.com:8443'],
      cookies: { sameSite: 'none', secure: true },
      algorithm: 'HS384',
      accessTtl: 60,
      refreshTtl: 86_400,
      refreshGrace: 0,
      redisUrl: 'rediss://:password@redis.example.com:6380/1',
      redisPrefix: 'shop:',
    });
  });

  it('takes what is unset or empty for unset, and leaves alone what is not its own', () => {
    const empty = { TOLLGATE_SECRET: '', TOLLGATE_ACCESS_TTL: '', TOLLGATE_COOKIE_SECURE: undefined };
    expect(optionsFromEnv(empty)).to.deep.equal({});
    expect(optionsFromEnv({ SECRET: 'x', PORT: '3000', TOLLGATE_MONGODB_URI: 'x' })).to.deep.equal({});
  });

  it('tries the prefixes in order, and falls through those that are unset or empty', () => {
    const env = { TOLLGATE_ACCESS_TTL: '60', ACCESS_TTL: '70', TOLLGATE_REFRESH_TTL: '', REFRESH_TTL: '80' };
    expect(optionsFromEnv(env, ['TOLLGATE_', ''])).to.deep.equal({ accessTtl: 60, refreshTtl: 80 });
    expect(optionsFromEnv(env, ['', 'TOLLGATE_'])).to.include({ accessTtl: 70 });
    expect(optionsFromEnv({ APP_ACCESS_TTL: '90' }, ['APP_'])).to.deep.equal({ accessTtl: 90 });
  });

  for (const [text, expected] of [['1', true], ['0', false], ['true', true], ['false', false]] as const) // biome-ignore format: a table
    it(`reads the flag ${text} as ${expected}`, () => {
      setEnvironment(undefined);
      expect(optionsFromEnv({ TOLLGATE_COOKIE_SECURE: text })).to.deep.equal({
        cookies: { secure: expected },
      });
    });

  it('reports every problem at once, by variable and without a value', () => {
    const marker = 'xyzzy';
    const env = {
      SECRET: `${marker},${long('b')}`,
      TOLLGATE_PEPPER: marker,
      TOLLGATE_PUBLIC_URL: marker,
      TOLLGATE_ALLOWED_ORIGINS: `https://a.example.com,${marker}`,
      TOLLGATE_COOKIE_SAMESITE: marker,
      TOLLGATE_COOKIE_SECURE: marker,
      TOLLGATE_JWT_ALGORITHM: marker,
      TOLLGATE_ACCESS_TTL: marker,
      TOLLGATE_REFRESH_TTL: '-1',
    };
    expect(() => optionsFromEnv(env, ['TOLLGATE_', '']))
      .to.throw(TypeError)
      .with.property('message')
      .that.satisfies((message: string) => {
        for (const variable of Object.keys(env))
          expect(message).to.match(new RegExp(`(^|[ ;:])${variable}\\b`));
        expect(message)
          .to.match(/^optionsFromEnv\(\): /)
          .and.not.to.include(marker);
        return true;
      });
  });

  for (const duration of ['15m', '1.5', '-1', '0', '1e3', '0x10', ' 60 ', '86401', '99999999999999999999'])
    it(`refuses ${JSON.stringify(duration)} for seconds`, () => {
      expect(() => optionsFromEnv({ TOLLGATE_ACCESS_TTL: duration })).to.throw(
        TypeError,
        'TOLLGATE_ACCESS_TTL',
      );
    });

  it('refuses a list of nothing, and a short secret anywhere in a list', () => {
    for (const list of [',', ' , ', `${long('a')},short`])
      expect(() => optionsFromEnv({ TOLLGATE_SECRET: list })).to.throw(TypeError, /TOLLGATE_SECRET/);
  });

  it('names the variables of a combination that is wrong', () => {
    setEnvironment(undefined);
    const env = { TOLLGATE_COOKIE_SAMESITE: 'none', TOLLGATE_COOKIE_SECURE: 'false' };
    expect(() => optionsFromEnv(env)).to.throw(TypeError, /TOLLGATE_COOKIE_S/);
    const keys = { TOLLGATE_SECRET: long('a'), TOLLGATE_JWT_ALGORITHM: 'RS256' };
    expect(() => optionsFromEnv(keys)).to.throw(TypeError, /TOLLGATE_SECRET.*RS256/);
  });
});
