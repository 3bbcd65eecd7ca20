import { atEnd, inspector } from './world.js';

export interface FailPoint {
  /** The application name of the connections that it is about. */
  readonly appName: string;
  readonly failCommands: readonly string[];
  /** How many commands it meets. Default: all, until the test ends. */
  readonly times?: number | undefined;
  /** Milliseconds that they wait before they are carried out, or fail. */
  readonly blockTimeMS?: number;
  readonly errorCode?: number;
  /** Of the answer to a write that is done. */
  readonly writeConcernError?: { readonly code: number; readonly errmsg: string };
  /** Database and collection. Default: all. */
  readonly namespace?: string;
  readonly errorLabels?: readonly string[];
}

/** Lets commands wait in MongoDB, or fail, and gives how to end that, which waits for those that are waiting. */
export async function failPoint({ times, ...data }: FailPoint): Promise<() => Promise<void>> {
  const configure = async (mode: object | string, more: object = {}) => {
    const admin = inspector().getClient().db('admin');
    await admin.command({ configureFailPoint: 'failCommand', mode, ...more });
  };
  const end = () => configure('off');
  atEnd(end);
  const isBlocking = data.blockTimeMS !== undefined;
  await configure(times ? { times } : 'alwaysOn', {
    data: { ...data, ...(isBlocking && { blockConnection: true }) },
  });
  return end;
}
