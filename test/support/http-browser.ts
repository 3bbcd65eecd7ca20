/** A browser without a screen, that follows no redirect by itself. Like real ones it sends a cookie to every port of a host. */
export function browser() {
  const jar = new Map<string, string>();

  async function open(url: string, init: RequestInit = {}): Promise<Response> {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...(cookie && { cookie }), ...(init.headers as Record<string, string> | undefined) };
    const answer = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) keep(line);
    return answer;
  }

  function keep(line: string): void {
    const [pair = '', ...attributes] = line.split(/; */);
    const [name = '', ...value] = pair.split('=');
    const expires = attributes.find((each) => /^expires=/i.test(each))?.slice(8);
    if (expires && Date.parse(expires) <= Date.now()) jar.delete(name);
    else jar.set(name, value.join('='));
  }

  /** Follows redirects from `url` to one that begins with `end`, and gives that without opening it. */
  async function follow(url: string, end: string): Promise<string> {
    let at = url;
    for (let steps = 0; !at.startsWith(end); steps += 1) {
      const answer = await open(at);
      const location = answer.headers.get('location');
      if (!location || steps > 10) throw new Error(`${at} answered ${answer.status}: ${await answer.text()}`);
      at = new URL(location, at).href;
    }
    return at;
  }

  return { jar, open, follow };
}

export type Browser = ReturnType<typeof browser>;

/** Where a redirect leads, as it was said. */
export const locationOf = (answer: Response): string =>
  answer.headers.get('location') ?? `status ${answer.status}`;
