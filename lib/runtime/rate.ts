/** So many in a span of time. */
export interface Rate {
  readonly points: number;
  readonly seconds: number;
}

/** Reads `5/minute`; null for `off`, undefined for any other text. */
export function rateOf(text: string): Rate | null | undefined {
  if (text === 'off') return null;
  const [, points, unit] = /^([1-9]\d{0,6})\/(second|minute|hour|day)$/.exec(text) ?? [];
  const seconds = { second: 1, minute: 60, hour: 3_600, day: 86_400 }[unit as 'minute'];
  return points === undefined ? undefined : { points: Number(points), seconds };
}
