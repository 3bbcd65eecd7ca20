import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import Koa from 'koa';
import { authRouter, identify, isTollgateError, optionsFromEnv, problems, ready } from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
const shared = optionsFromEnv(process.env);
await ready(shared);

const app = new Koa();
app.use(problems()).use(authRouter(shared).routes());
const server = app.listen(process.env.PORT ?? 3000);

server.on('upgrade', async (request, socket) => {
  const { headers } = request;
  const { remoteAddress } = request.socket;
  try {
    const { user } = await identify({ ...shared, headers, remoteAddress });
    greet(socket, headers['sec-websocket-key'] ?? '', user.email);
  } catch (error) {
    const status = isTollgateError(error) ? error.status : 500;
    socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\n\r\n`);
  }
});

/** Stands for a WebSocket library's `handleUpgrade()`: sends one text, and that is all. */
function greet(socket: Duplex, key: string, text: string): void {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  const headers = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`];
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.join('\r\n')}\r\n\r\n`);
  socket.end(Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]));
}
