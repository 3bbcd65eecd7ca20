import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  readonly port: number;
  /** Holds everything back in both directions, as a stalled network does; connections stay open, new ones are mute. */
  silence(): void;
  /** Lets requests through and loses the replies. */
  dropReplies(): void;
  /** Lets requests through at once, and each reply so many milliseconds later. */
  delayReplies(milliseconds: number): void;
  /** Destroys every connection and refuses new ones. */
  cut(): Promise<void>;
  /** Back to normal. What `silence()` held is delivered now, late; a connection that lost a reply is destroyed. */
  restore(): Promise<void>;
  close(): Promise<void>;
}

/** One client's connection and its continuation to the target. */
interface Link {
  client: Socket;
  target: Socket;
  lossy: boolean;
  /** Resolves when the last reply has gone on: none overtakes another. */
  replies: Promise<unknown>;
}

/** A TCP proxy on 127.0.0.1 that breaks on demand; a MongoDB behind it needs `directConnection=true`. */
export async function startProxy({ host, port }: { host: string; port: number }): Promise<TcpProxy> {
  let mode: 'forward' | 'silent' | 'drop replies' = 'forward';
  let late = 0;
  const links = new Set<Link>();

  const server = createServer({ noDelay: true }, (client) => {
    const to = connect({ port, host, noDelay: true });
    const link: Link = { client, target: to, lossy: false, replies: Promise.resolve() };
    const { target } = link;
    links.add(link);
    client.on('data', (chunk) => target.write(chunk));
    target.on('data', (chunk) => {
      if (mode === 'drop replies') link.lossy = true;
      else link.replies = link.replies.then(() => delay(late)).then(() => client.write(chunk));
    });
    client.on('error', () => {}).on('close', () => target.destroySoon());
    target.on('error', () => {}).on('close', () => client.destroySoon());
    client.once('close', () => links.delete(link));
    if (mode === 'silent') pause(link);
  });

  const listen = async (at: number) => void (await once(server.listen(at, '127.0.0.1'), 'listening'));
  const cut = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    links.forEach(destroy);
    await closed;
  };

  await listen(0);
  const own = (server.address() as AddressInfo).port;
  return {
    port: own,
    silence() {
      mode = 'silent';
      links.forEach(pause);
    },
    dropReplies() {
      mode = 'drop replies';
      links.forEach(resume);
    },
    delayReplies(milliseconds) {
      late = milliseconds;
    },
    async restore() {
      mode = 'forward';
      late = 0;
      for (const link of links) link.lossy ? destroy(link) : resume(link);
      if (!server.listening) await listen(own);
    },
    cut,
    close: cut,
  };
}

const delay = (milliseconds: number) =>
  milliseconds > 0 && new Promise((resolve) => setTimeout(resolve, milliseconds));
const each = (act: (socket: Socket) => unknown) => (link: Link) => void [link.client, link.target].map(act);
const pause = each((socket) => socket.pause());
const resume = each((socket) => socket.resume());
const destroy = each((socket) => socket.destroy());
