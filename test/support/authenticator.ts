import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** The parts of the options that an authenticator and its browser look at. */
interface CreationOptions {
  readonly rp: { readonly id: string };
  readonly user: { readonly id: string };
  readonly challenge: string;
  readonly excludeCredentials: readonly { readonly id: string }[];
}
interface RequestOptions {
  readonly rpId: string;
  readonly challenge: string;
}

export interface Behaviour {
  /** Of the page that asks. */
  readonly origin: string;
  /** Default: that of the options. */
  readonly rpId?: string;
  /** Whether a PIN or a finger unlocks it. Default true. */
  readonly verifiesUser?: boolean;
  /** Answers with the passkey that it made before, as a manipulated one would. Default false. */
  readonly reuse?: boolean;
  /** What the signature counter says. Default: one more than before. */
  readonly counter?: number;
}

interface Held {
  readonly id: Buffer;
  readonly key: KeyObject;
  readonly userHandle: string;
  counter: number;
}

type Cbor = number | string | Buffer | Map<number | string, Cbor>;

/** An authenticator in software, with the browser before it (WebAuthn, sections 6.3 and 7): ES256, attestation `none`. */
export function authenticator() {
  const held: Held[] = [];

  function create(options: CreationOptions, { origin, rpId = options.rp.id, ...rest }: Behaviour) {
    if (options.excludeCredentials.some(({ id }) => held.some((each) => text(each.id) === id)))
      throw new Error('InvalidStateError: this authenticator has a passkey of that account');
    const { counter = 0, reuse = false } = rest;
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const made = { id: randomBytes(32), key: privateKey, userHandle: options.user.id, counter };
    const credential = (reuse && held.at(-1)) || made;
    if (credential === made) held.push(made);
    const data = Buffer.concat([
      authenticatorData(rpId, 0x40, { ...rest, counter }),
      Buffer.alloc(16), // AAGUID
      Buffer.from([0, credential.id.length]),
      credential.id,
      cbor(coseKey(publicKey)),
    ]);
    const attestation = new Map<string, Cbor>([
      ['fmt', 'none'],
      ['attStmt', new Map()],
      ['authData', data],
    ]);
    const response = {
      clientDataJSON: text(clientData('webauthn.create', options.challenge, origin)),
      attestationObject: text(cbor(attestation)),
      transports: ['internal'],
    };
    return { ...identified(credential), clientExtensionResults: { credProps: { rk: true } }, response };
  }

  function get(options: RequestOptions, { origin, rpId = options.rpId, ...rest }: Behaviour) {
    const credential = held.at(-1);
    if (!credential) throw new Error('NotAllowedError: no passkey here');
    credential.counter = rest.counter ?? credential.counter + 1;
    const data = authenticatorData(rpId, 0, { ...rest, counter: credential.counter });
    const client = clientData('webauthn.get', options.challenge, origin);
    const signature = sign('sha256', Buffer.concat([data, sha256(client)]), credential.key);
    const response = {
      clientDataJSON: text(client),
      authenticatorData: text(data),
      signature: text(signature),
      userHandle: credential.userHandle,
    };
    return { ...identified(credential), clientExtensionResults: {}, response };
  }

  return { create, get };
}

const identified = ({ id }: Held) => ({
  id: text(id),
  rawId: text(id),
  type: 'public-key',
  authenticatorAttachment: 'platform',
});

const text = (bytes: Buffer): string => bytes.toString('base64url');
const sha256 = (bytes: Buffer | string): Buffer => createHash('sha256').update(bytes).digest();

const clientData = (type: string, challenge: string, origin: string): Buffer =>
  Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));

function authenticatorData(
  rpId: string,
  further: number,
  { verifiesUser = true, counter }: { verifiesUser?: boolean; counter: number },
): Buffer {
  const data = Buffer.alloc(37);
  sha256(rpId).copy(data);
  data.writeUInt8(further | 0x01 | (verifiesUser ? 0x04 : 0), 32); // user present, user verified
  data.writeUInt32BE(counter, 33);
  return data;
}

/** RFC 9053, section 7.1.1: an EC2 key on P-256 for ES256. */
function coseKey(key: KeyObject): Map<number, Cbor> {
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  return new Map<number, Cbor>([
    [1, 2],
    [3, -7],
    [-1, 1],
    [-2, Buffer.from(x, 'base64url')],
    [-3, Buffer.from(y, 'base64url')],
  ]);
}

/** As much of RFC 8949 as an authenticator speaks. */
function cbor(value: Cbor): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'string')
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  return Buffer.concat([head(5, value.size), ...[...value].flatMap((pair) => pair.map(cbor))]);
}

function head(major: number, count: number): Buffer {
  if (count < 24) return Buffer.from([(major << 5) | count]);
  if (count < 256) return Buffer.from([(major << 5) | 24, count]);
  return Buffer.from([(major << 5) | 25, count >> 8, count & 0xff]);
}
