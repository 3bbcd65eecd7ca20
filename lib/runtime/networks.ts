import ipaddr from 'ipaddr.js';
import { networkOf } from './client-address.js';

/** An IPv4 or IPv6 network: its address, and how many of the leading bits count. */
export type Network = ReturnType<typeof ipaddr.parseCIDR>;

/**
 * The one form of an address or a network in CIDR notation: `10.1.2.3/8` is `10.0.0.0/8`, `::ffff:10.1.2.3` is `10.1.2.3`.
 * Undefined for any other text, also for what some programs read as an address, such as `010.1` or one with a zone.
 */
export function canonicalNetwork(text: string): string | undefined {
  const [address = '', length, ...more] = text.split('/');
  const isIPv4 = ipaddr.IPv4.isValidFourPartDecimal(address);
  if (more.length > 0 || address.includes('%') || !(isIPv4 || ipaddr.IPv6.isValid(address))) return undefined;
  const whole = isIPv4 ? 32 : 128;
  if (length !== undefined && !(/^(0|[1-9]\d{0,2})$/.test(length) && Number(length) <= whole))
    return undefined;
  const bits = length === undefined ? whole : Number(length);
  const parsed = ipaddr.process(address);
  const mapped = !isIPv4 && parsed.kind() === 'ipv4';
  if (mapped && bits < 96) return undefined; // wider than IPv4 itself: nobody means that
  const kept = mapped ? bits - 96 : bits;
  return kept === (parsed.kind() === 'ipv4' ? 32 : 128) ? parsed.toString() : networkOf(address, kept, kept);
}

/** Reads a network or an address in its canonical form. */
export function readNetwork(text: string): Network {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.parse(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

/** True when an address, in its canonical form, is in one of `networks`. */
export function isWithin(address: string, networks: readonly Network[]): boolean {
  const parsed = ipaddr.parse(address);
  return networks.some((network) => network[0].kind() === parsed.kind() && parsed.match(network));
}
