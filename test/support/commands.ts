import type { Connection } from 'mongoose';

/** Names of the commands that a connection sends from now on, except those that keep the change feed alive. */
export function watchCommands(connection: Connection): string[] {
  const names: string[] = [];
  connection.getClient().on('commandStarted', ({ commandName, command }) => {
    const target = command[commandName];
    const feed =
      commandName === 'getMore' || target === 'tollgate_revocations' || commandName === 'endSessions';
    if (!feed) names.push(commandName);
  });
  return names;
}
