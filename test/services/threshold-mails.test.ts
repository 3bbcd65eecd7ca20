import { expect } from 'chai';
import {
  consumeQuota,
  type MailMessage,
  type Subject,
  startWorker,
  type ThresholdEvent,
  type WorkerOptions,
} from '../../lib/index.js';
import { mailbox, publicUrl } from '../support/mailbox.js';
import { atEnd, connect, inspector, secret, until, world } from '../support/world.js';

/** The people of the demo, and two workers that tell of thresholds by mail. */
async function telling(options: Partial<WorkerOptions>) {
  const { sent, mail } = mailbox();
  const made = await world({ mail, publicUrl });
  for (const _ of [1, 2]) {
    const connection = await connect();
    const onError = (error: Error) => console.error(error);
    const own = { ...made.shared, connection, mail, publicUrl, cleanupHours: 0, onError };
    const worker = await startWorker({ ...own, ...options });
    atEnd(() => worker.stop());
  }
  const consume = (type: Subject['type'], id: string, feature: string, amount: number) =>
    consumeQuota({ ...made.shared, subject: { type, id }, feature, amount });
  const allTold = (count: number) =>
    until(async () => {
      const told = await inspector().collection('tollgate_thresholds').countDocuments({ taken: true });
      return told === count && (await inspector().collection('tollgate_outbox').countDocuments()) === 0;
    });
  return { ...made, sent, consume, allTold };
}

const inShort = ({ kind, to, subject, text }: MailMessage) => ({
  kind,
  to,
  subject,
  said: text.split('\n')[2],
});

describe('mails of thresholds', () => {
  it('go once to the user, or to the owners of the organization or of the team’s', async function () {
    this.timeout(20_000);
    const events: ThresholdEvent[] = [];
    const thresholdMails = ['images', 'searches'];
    const { as, globex, sent, consume, allTold } = await telling({
      thresholdMails,
      onThreshold: (event) => events.push(event),
    });
    const { id: ada } = (await (await as('ada@example.com')).get('/auth/profile').expect(200)).body;
    const red = await inspector().collection('teams').findOne({ name: 'red' });
    await inspector()
      .collection('organizations')
      .updateOne({ slug: 'globex' }, { $set: { name: 'Globex\nhttp://evil.example' } });
    await consume('organization', globex, 'images', 8);
    await consume('user', ada, 'searches', 1_000);
    await consume('team', String(red?._id), 'images', 9);
    await consume('organization', globex, 'tokens', 9_000); // which no mail is to tell of
    await consume('organization', 'nobody', 'images', 9);
    await consume('user', 'nobody', 'images', 9);
    await allTold(7);

    const month = new Date();
    const next = new Date(Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1));
    const resets = `The next period begins on ${next.toISOString().slice(0, 10)} 00:00 UTC.`;
    const about = (threshold: number, feature: string) => ({
      kind: 'quota-threshold',
      subject: `${threshold} % of ${feature} used`,
    });
    const images = sent.map(inShort).filter(({ subject }) => subject.includes('images'));
    expect(images).to.have.deep.members([
      {
        ...about(80, 'images'),
        to: 'bob@example.com',
        said: `Globex http:// evil. example has used 80 % of what there is of images at app.example.com: 8 units. ${resets}`,
      },
      {
        ...about(80, 'images'),
        to: 'ada@example.com',
        said: `The team red of Acme has used 80 % of what there is of images at app.example.com: 9 units. ${resets}`,
      },
    ]);
    const searches = sent.map(inShort).filter(({ subject }) => subject.includes('searches'));
    expect(searches.map(({ said, ...rest }) => [rest, said?.split(':')[0]])).to.have.deep.members(
      [80, 100].map((threshold) => [
        { ...about(threshold, 'searches'), to: 'ada@example.com' },
        `You have used ${threshold} % of what there is of searches at app.example.com`,
      ]),
    );
    expect(sent).to.have.length(4);
    await until(() => events.length >= 7); // told once it is taken
    expect(events).to.have.length(7);
  });

  it('have the words of the application’s own template', async function () {
    this.timeout(20_000);
    const text =
      '<%= it.used %>/<%= it.limit %> <%= it.feature %> of <%= it.organization %> <%= it.threshold %>';
    const templates = { 'quota-threshold': { subject: 'Most is used', text } };
    const { globex, sent, consume, allTold } = await telling({ thresholdMails: true, templates });
    await consume('organization', globex, 'images', 9);
    await allTold(1);
    expect(sent.map((mail) => [mail.subject, mail.text])).to.deep.equal([
      ['Most is used', '9/10 images of Globex 80\n'],
    ]);
    expect(sent[0]?.html).to.include('Globex has used 80 %');
  });

  it('are refused where no mail can be sent', async () => {
    const { connection } = await world();
    const error = await startWorker({ connection, keys: [secret], thresholdMails: true }).catch(
      (thrown) => thrown,
    );
    expect(error).to.be.instanceOf(TypeError);
    expect(error.message).to.include('thresholdMails').and.include('needs mail');
  });
});
