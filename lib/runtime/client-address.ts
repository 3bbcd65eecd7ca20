import type { IncomingHttpHeaders } from 'node:http';
import ipaddr from 'ipaddr.js';
import type { ParameterizedContext } from 'koa';

/**
 * The address of the client, in its one canonical form: what the outermost of our `trustedProxies` saw. That many entries are
 * believed of `X-Forwarded-For`, counted from the right, for whoever sends a request can write anything to the left of them.
 * Undefined where there is no address, as on a Unix socket.
 */
export const clientAddress = ({ req }: ParameterizedContext, trustedProxies: number): string | undefined =>
  addressIn(req.headers, req.socket.remoteAddress, trustedProxies);

/** The same of a connection from `remote`. */
export function addressIn(
  headers: IncomingHttpHeaders,
  remote: string | undefined,
  trustedProxies: number,
): string | undefined {
  const direct = canonicalAddress(remote ?? '');
  if (trustedProxies === 0) return direct;
  const said = String(headers['x-forwarded-for'] ?? '').split(',').map((entry) => entry.trim()); // biome-ignore format: a chain
  const named = said.slice(-trustedProxies)[0];
  return (named && canonicalAddress(named)) || direct;
}

/** An IPv4 address, also when it was mapped into IPv6, or an IPv6 one without a zone; undefined for any other text. */
export function canonicalAddress(text: string): string | undefined {
  const address = text.replace(/%.*$/, '');
  return ipaddr.isValid(address) ? ipaddr.process(address).toString() : undefined;
}

/** The network of `bits4` (IPv4) or `bits6` bits that an address belongs to, such as `192.0.2.0/24`. */
export function networkOf(address: string, bits4: number, bits6: number): string {
  const parsed = ipaddr.process(address);
  const bits = parsed.kind() === 'ipv4' ? bits4 : bits6;
  const bytes = parsed.toByteArray().map((byte, index) => {
    const kept = Math.max(0, Math.min(8, bits - index * 8));
    return byte & (0xff << (8 - kept)) & 0xff;
  });
  return `${ipaddr.fromByteArray(bytes)}/${bits}`;
}
