import { expect } from 'chai';
import fc from 'fast-check';
import { generateSync } from 'otplib';
import {
  changePassword,
  confirmTotp,
  createUser,
  enrolTotp,
  isTollgateError,
  offerPasskey,
  reauthenticate,
  removePasskey,
  removeTotp,
  revokeSessions,
  Sessions,
  signIn,
  Users,
  unlinkIdentity,
} from '../../lib/index.js';
import { readKey } from '../../lib/runtime/keyring.js';
import { open, seal } from '../../lib/runtime/sealing.js';
import { hashOfRecoveryCode, newRecoveryCodes } from '../../lib/services/factors/recovery-codes.js';
import { timeStepOf } from '../../lib/services/factors/totp.js';
import { emptyWorld, inspector, secret, times } from '../support/world.js';

const codeOfError = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return isTollgateError(error) ? error.code : (error as Error | undefined)?.name;
};

describe('a TOTP code', () => {
  /** RFC 6238, appendix B, SHA-1: the last six of the eight digits; the secret is `12345678901234567890`. */
  const shared = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
  const vectors: [seconds: number, code: string][] = [
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ];
  const stepAt = (seconds: number, code: string, after = 0) =>
    timeStepOf({ secret: shared, code, now: new Date(seconds * 1000), after });

  it('is that of RFC 6238 at its time, and for one step before and after', () => {
    for (const [seconds, code] of vectors) {
      const step = Math.floor(seconds / 30);
      for (const at of [step * 30 - 30, step * 30, seconds, step * 30 + 59.999])
        expect(stepAt(at, code), `${code} at ${at}`).to.equal(step);
      for (const at of [step * 30 - 31, step * 30 + 60].filter((each) => each > 0))
        expect(stepAt(at, code), `${code} at ${at}`).to.equal(null);
    }
  });

  it('does not count when one of its step or a later one was used', () => {
    expect(stepAt(59, '287082', 0)).to.equal(1);
    expect(stepAt(59, '287082', 1)).to.equal(null);
    expect(stepAt(59, '287082', 2)).to.equal(null);
  });

  it('is six ASCII digits and nothing else', () => {
    for (const text of [
      '',
      '28708',
      '2870822',
      ' 287082',
      '287082\n',
      '28708x',
      '２８７０８２',
      '-28708',
      '2.8708',
    ])
      expect(stepAt(59, text), text).to.equal(null);
  });
});

describe('a recovery code', () => {
  it('never comes twice, and has the same hash however it is typed', () => {
    const codes = times(50, newRecoveryCodes).flat();
    expect(new Set(codes).size).to.equal(500);
    for (const code of codes) {
      const typed = ` ${code.toUpperCase().replaceAll('-', ' ').replaceAll('1', 'I').replaceAll('0', 'o')} `;
      expect(hashOfRecoveryCode(typed)).to.equal(hashOfRecoveryCode(code));
    }
  });
});

describe('what is sealed', () => {
  const key = (text: string) => readKey(text.padEnd(40, '.'), 'HS256');
  const [first, second] = [key('first'), key('second')];

  it('opens again under any key that is still there, whatever it is', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1 }), (text, purpose) => {
        expect(open([second, first], purpose, seal([first, second], purpose, text))).to.equal(text);
      }),
    );
  });

  it('never looks the same twice', () => {
    expect(seal([first], 'test', 'text').sealed).not.to.equal(seal([first], 'test', 'text').sealed);
  });

  it('does not open for another purpose, with another key, or when a bit is changed', () => {
    const { keyId, sealed } = seal([first], 'secret of ada', 'text');
    const bytes = Buffer.from(sealed, 'base64url');
    expect(() => open([first], 'secret of bob', { keyId, sealed })).to.throw();
    expect(() => open([second], 'secret of ada', { keyId, sealed }))
      .to.throw()
      .with.property('code', 'internal');
    expect(() => open([second], 'secret of ada', { keyId: second.kid, sealed })).to.throw();
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(() =>
        open([first], 'secret of ada', { keyId, sealed: changed.toString('base64url') }),
      ).to.throw();
    }
    expect(() => open([first], 'secret of ada', { keyId, sealed: '' })).to.throw();
  });
});

describe('the services of factors', () => {
  const nobody = '0123456789abcdef01234567';

  it('refuse somebody who does not exist, and a malformed id like an unknown one', async () => {
    const { shared } = await emptyWorld();
    const passkeys = { ...shared, passkeys: true, publicUrl: 'https://app.example.com' };
    for (const userId of [nobody, 'nobody']) {
      const asker = { ...shared, userId, sessionId: nobody };
      expect(await codeOfError(enrolTotp({ ...shared, userId }))).to.equal('not_found');
      expect(await codeOfError(confirmTotp({ ...asker, code: '123456' }))).to.equal('conflict');
      expect(await codeOfError(removeTotp(asker))).to.equal('not_found');
      expect(await codeOfError(reauthenticate({ ...asker, code: '123456' }))).to.equal('session_revoked');
      expect(await codeOfError(offerPasskey({ ...passkeys, userId }))).to.equal('not_found');
      expect(await codeOfError(removePasskey({ ...asker, passkeyId: 'AAAA' }))).to.equal('not_found');
    }
  });

  it('change nothing for a session that has ended, and end no other', async () => {
    const { shared } = await emptyWorld();
    const [email, password] = ['ada@example.com', 'lovelace-1815'];
    const { id: userId } = await createUser({ ...shared, email, password, emailVerified: true });
    const begin = async () => (await signIn({ ...shared, email, password })).session.id;
    const [ended, kept] = [await begin(), await begin()];
    const asker = { ...shared, userId, sessionId: ended };
    const passkeys = ['a', 'b'].map((id) => ({ id, publicKey: 'k', counter: 0, createdAt: new Date() }));
    const identity = { provider: 'oidc', issuer: 'i', subject: 's', linkedAt: new Date() };
    await Users(inspector()).updateOne({ _id: userId }, { passkeys, identities: [identity] });
    const { secret: offered } = await enrolTotp({ ...shared, userId });
    await revokeSessions({ ...shared, userId, sessionId: ended });
    const user = () => Users(inspector()).findById(userId).orFail().lean();
    const before = await user();

    const code = generateSync({ secret: offered });
    expect(await codeOfError(confirmTotp({ ...asker, code }))).to.equal('session_revoked');
    await Users(inspector()).updateOne({ _id: userId }, { 'totp.confirmedAt': new Date() });
    const attempts = [
      () => removeTotp(asker),
      () => removePasskey({ ...asker, passkeyId: 'a' }),
      () => unlinkIdentity({ ...shared, userId, provider: 'oidc', keep: ended }),
      () => changePassword({ ...asker, currentPassword: password, newPassword: 'analytical-1837' }),
    ];
    for (const attempt of attempts) expect(await codeOfError(attempt())).to.equal('session_revoked');

    const now = await user();
    for (const field of ['password', 'passkeys', 'identities', 'credentialEpoch'] as const)
      expect(now[field], field).to.deep.equal(before[field]);
    expect(now.totp?.confirmedAt).to.be.instanceOf(Date);
    const live = await Sessions(inspector()).find({ revokedAt: null }).lean();
    expect(live.map(({ _id }) => String(_id))).to.deep.equal([kept]);
  });

  it('say which option is wrong or missing', async () => {
    const { shared } = await emptyWorld();
    const { keys, ...keyless } = shared;
    const wrong = [
      enrolTotp({ ...keyless, userId: nobody }),
      enrolTotp({ ...shared, userId: 1 as unknown as string }),
      reauthenticate({ ...shared, userId: nobody, sessionId: nobody }),
      reauthenticate({ ...shared, userId: nobody, sessionId: nobody, password: 'a', code: 'b' }),
      offerPasskey({ ...shared, userId: nobody }),
    ];
    for (const work of wrong) expect(await codeOfError(work)).to.equal('TypeError');
    expect(keys).to.deep.equal([secret]);
  });
});
