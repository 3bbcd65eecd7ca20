/** A module that lets the program that loads it first tell the process that started it when it listens. */
export const tellListening = `data:text/javascript,${encodeURIComponent(`
  import { Server } from 'node:net';
  const { listen } = Server.prototype;
  Server.prototype.listen = function (...args) {
    this.once('listening', () => process.send?.('listening'));
    return Reflect.apply(listen, this, args);
  };`)}`;
