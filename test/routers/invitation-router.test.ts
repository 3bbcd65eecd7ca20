import { expect } from 'chai';
import { demoApp } from '../../examples/demo/app.js';
import { acceptInvitation, addMember, cleanUp, createUser, deleteOrganization, eraseSubject, exportSubject, Invitations, inviteMember, Memberships, Organizations, Roles, resendInvitation, setSeats, Teams } from '../../lib/index.js'; // biome-ignore format: a list
import { publicUrl, tokenIn } from '../support/mailbox.js';
import { counted, tenancyWorld } from '../support/tenancy.js';
import { clientsOf, connect, countBy, inspector, serve, times, world } from '../support/world.js';

const ada = 'ada@example.com';
const grace = 'grace@example.com';
const nobody = '0'.repeat(24);

const outcome = async (answer: PromiseLike<{ status: number; body: { code?: string } }>) => {
  const { status, body } = await answer;
  return body.code ? `${status} ${body.code}` : String(status);
};

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: { code: string }) => error.code,
  );

/** Ada signed in, and where Acme's invitations are. */
async function invitingWorld() {
  const made = await tenancyWorld();
  const boss = await made.as(ada);
  const invitations = `/organizations/${made.acme}/invitations`;
  const invite = (email: string, more: object = {}) => boss.post(invitations, { email, ...more });
  const invited = async (email: string, more: object = {}): Promise<{ id: string; token: string }> => {
    const { body } = await invite(email, more).expect(201);
    return { id: body.id, token: await made.tokenOf(email, 'invitation') };
  };
  const expire = () =>
    inspector()
      .collection('invitations')
      .updateMany({}, { $set: { expiresAt: new Date(0) } });
  const expireAll = async () => {
    await expire();
    await inspector()
      .collection('organizations')
      .updateMany({}, { $set: { 'open.$[].expiresAt': new Date(0) } });
  };
  const open = async (): Promise<string[]> => {
    const { open } = await Organizations(inspector()).findById(made.acme).orFail().lean();
    return open.map(({ id }) => String(id));
  };
  return { ...made, boss, invitations, invite, invited, expireAll, open };
}

describe('an invitation', () => {
  it('goes out by mail, and makes its reader a member with the role and the teams that it says', async () => {
    const { boss, invitations, invite, next, visitor, acme } = await invitingWorld();
    const red = String((await Teams(inspector()).findOne({ name: 'red' }).orFail().lean())._id);
    const { body, headers } = await invite('Grace@Example.com', { role: 'admin', teamIds: [red] }).expect(
      201,
    );
    const { id, expiresAt, ...rest } = body;
    expect(rest).to.deep.equal({ email: grace, role: 'admin', teamIds: [red] });
    expect(headers.location).to.equal(`${invitations}/${id}`);
    expect(new Date(expiresAt).getTime() - Date.now()).to.be.closeTo(7 * 86_400_000, 60_000);
    expect((await boss.get(invitations).expect(200)).body).to.deep.equal({ items: [body], nextCursor: null });
    const mail = await next(grace, 'invitation');
    expect(mail.subject).to.equal('Join Acme');
    expect(mail.text).to.include('Ada invites you to join Acme at app.example.com.').and.include('7 days');
    expect(mail.text).to.match(new RegExp(`^${publicUrl}/account/accept-invitation\\?token=\\S+$`, 'm'));

    const { user, client } = await visitor(grace);
    const accepted = await client.post('/invitations/accept', { token: tokenIn(mail) }).expect(201);
    const { joinedAt, ...member } = accepted.body;
    expect(member).to.deep.equal({
      organizationId: acme,
      userId: user.id,
      email: grace,
      name: null,
      role: 'admin',
      teamIds: [red],
    });
    expect(accepted.headers.location).to.equal(`/organizations/${acme}/members/${user.id}`);
    const { organizationId, ...shown } = accepted.body;
    expect((await boss.get(accepted.headers.location as string).expect(200)).body).to.deep.equal(shown);
    expect((await boss.get(invitations)).body.items).to.deep.equal([]);
    await client.get(`/organizations/${acme}/audit`).expect(200);
    expect(await outcome(client.post('/invitations/accept', { token: tokenIn(mail) }))).to.equal(
      '400 token_used',
    );
  });

  it('keeps its link out of the database', async () => {
    const { invited } = await invitingWorld();
    const { id, token } = await invited(grace);
    const names = (await inspector().listCollections()).map(({ name }) => name);
    const contents = names
      .filter((name) => !name.startsWith('system.'))
      .map((name) => inspector().collection(name).find().toArray());
    const dump = JSON.stringify(await Promise.all(contents));
    expect([dump.includes(id), dump.includes(token.slice(25))]).to.deep.equal([true, false]);
  });

  it('shows names in its mail as they are, but none of them as something to click at', async () => {
    const { boss, acme, invite, next } = await invitingWorld();
    await boss.patch('/auth/profile', { name: 'See https://evil.example/x' }).expect(200);
    await boss.patch(`/organizations/${acme}`, { name: 'Win at www.evil.example <b>now</b>' }).expect(200);
    await invite(grace).expect(201);
    const { text, html, subject } = await next(grace, 'invitation');
    for (const part of [text, html, subject]) expect(part).not.to.match(/evil\.example|https:\/\/e/);
    expect(html).to.include('&lt;b&gt;now');
  });

  it('is good for its address alone, once that is proved; anybody else is told nothing', async () => {
    const { invited, as, visitor, shared, anyone, boss, open } = await invitingWorld();
    const { id, token } = await invited(grace);
    for (const path of ['/invitations/accept', '/invitations/decline']) {
      expect(await outcome(anyone().post(path, { token }))).to.equal('401 token_missing');
      for (const client of [boss, await as('bob@example.com')])
        expect(await outcome(client.post(path, { token })), path).to.equal('400 token_used');
    }
    const { user, client } = await visitor(grace);
    for (const wrong of [`${token}x`, token.replace(/^./, '0'), id, `${nobody}${token.slice(24)}`, 'x', ''])
      expect(await outcome(client.post('/invitations/accept', { token: wrong }))).to.be.oneOf([
        '400 token_used',
        '400 validation_failed',
      ]);
    for (const body of [{ token: { $ne: '' } }, {}, { token, role: 'owner' }])
      expect(await outcome(client.post('/invitations/accept', body))).to.equal('400 validation_failed');
    await inspector()
      .collection('users')
      .updateOne({ email: grace }, { $set: { emailVerified: false } });
    expect(await codeOf(acceptInvitation({ ...shared, token, userId: user.id }))).to.equal('token_used');
    expect(await open()).to.deep.equal([id]);
  });

  it('asks who has not proved their address to do so first', async () => {
    const { shared, invited, withHeaders } = await invitingWorld();
    const { token } = await invited(grace);
    const open = { ...shared, emailVerification: false };
    const server = clientsOf(await serve(demoApp(open)));
    await createUser({ ...open, email: grace, password: 'cobol-forever' });
    const { body } = await server
      .anyone()
      .post('/auth/sign-in', { email: grace, password: 'cobol-forever' })
      .expect(200);
    const client = withHeaders({ Authorization: `Bearer ${body.accessToken}` });
    expect(await outcome(client.post('/invitations/accept', { token }))).to.equal('403 email_unverified');
  });

  it('is one for each address: a second is 409 conflict, one that has expired is replaced, with its link', async () => {
    const { shared, invite, invited, expireAll, person, acme, open } = await invitingWorld();
    const { token, id } = await invited(grace);
    expect(await outcome(invite('GRACE@example.com'))).to.equal('409 conflict');
    expect(await open()).to.deep.equal([id]);
    await expireAll();
    const { id: userId } = await person(grace);
    expect(await codeOf(acceptInvitation({ ...shared, token, userId }))).to.equal('token_used');
    const next = await invited(grace, { role: 'admin' });
    expect(await open()).to.deep.equal([next.id]);
    expect(await codeOf(acceptInvitation({ ...shared, token, userId }))).to.equal('token_used');
    expect(await acceptInvitation({ ...shared, token: next.token, userId })).to.include({ role: 'admin' });
    expect(await outcome(invite(grace))).to.equal('409 already_member');
    expect(await open()).to.deep.equal([]);
    expect((await counted(acme)).members).to.deep.equal([2, 2]);
  });

  it('is sent again, revoked and declined; then it holds no seat', async () => {
    const { boss, invitations, invited, next, visitor, expireAll, open, shared, acme } =
      await invitingWorld();
    const { id, token } = await invited(grace);
    await expireAll();
    const again = await boss.post(`${invitations}/${id}/resend`).expect(200);
    expect(new Date(again.body.expiresAt).getTime()).to.be.greaterThan(Date.now() + 6 * 86_400_000);
    expect(tokenIn(await next(grace, 'invitation'))).to.equal(token);
    await setSeats({ ...shared, organizationId: acme, seats: 2 });
    expect(await outcome(boss.post(invitations, { email: 'x@example.com' }))).to.equal('409 seats_exhausted');
    await boss.post(`${invitations}/${id}/resend`).expect(200);

    const { client } = await visitor(grace);
    await client.post('/invitations/decline', { token }).expect(204);
    expect(await outcome(client.post('/invitations/accept', { token }))).to.equal('400 token_used');
    const other = await invited('x@example.com');
    for (const which of [nobody, 'x', id]) {
      expect(await outcome(boss.delete(`${invitations}/${which}`))).to.equal('404 not_found');
      expect(await outcome(boss.post(`${invitations}/${which}/resend`))).to.equal('404 not_found');
    }
    await boss.delete(`${invitations}/${other.id}`).expect(204);
    expect(await open()).to.deep.equal([]);
    const entries = (await boss.get(`/organizations/${acme}/audit`)).body.items as {
      action: string;
      details: { role?: string };
    }[];
    expect(
      entries
        .map(({ action }) => action)
        .filter((action) => action.includes('invitation'))
        .reverse(),
    ).to.deep.equal([
      'organization.invitation.created',
      'organization.invitation.resent',
      'organization.invitation.resent',
      'organization.invitation.declined',
      'organization.invitation.created',
      'organization.invitation.revoked',
    ]);
    for (const { action, details } of entries)
      if (action.includes('invitation')) expect(details.role, action).to.equal('member');
    expect(JSON.stringify(entries)).not.to.include(grace);
  });

  it('is mailed again five times an hour at most, in whatever letters its path is written', async () => {
    const { boss, invited, acme } = await invitingWorld();
    const { id } = await invited(grace);
    const paths = [acme, acme.toUpperCase()].flatMap((organization) =>
      [id, id.toUpperCase(), id.replace(/[a-f]/, (letter) => letter.toUpperCase())].map(
        (invitation) => `/organizations/${organization}/invitations/${invitation}/resend`,
      ),
    );
    const answers = [];
    for (const path of paths) answers.push(await boss.post(path));
    expect(countBy(answers, 'status')).to.deep.equal({ 200: 5, 429: 1 });
  });

  it('goes to an address five times a minute at most, from whatever organization, revoked or sent again, whether it has an account or not', async () => {
    const { as, acme } = await tenancyWorld({ mailRate: '5/minute' });
    const boss = await as(ada);
    const invite = (organization: string, email: string) =>
      boss.post(`/organizations/${organization}/invitations`, { email });
    for (const email of ['bob@example.com', 'eva@example.com']) {
      const { body: first } = await invite(acme, email).expect(201);
      await boss.delete(`/organizations/${acme}/invitations/${first.id}`).expect(204);
      const { body: second } = await invite(acme, email).expect(201);
      await boss.post(`/organizations/${acme}/invitations/${second.id}/resend`).expect(200);
      const others = [];
      for (const index of times(4, (each) => each)) {
        const { body } = await boss.post('/organizations', { name: `O${index}` }).expect(201);
        others.push(await invite(body.id, email));
      }
      expect(others.map(({ status }) => status)).to.deep.equal([201, 201, 429, 429]);
      expect(others[3]?.body.code).to.equal('rate_limited');
      expect(Number(others[3]?.headers['retry-after'])).to.be.within(1, 60);
      const again = boss.post(`/organizations/${acme}/invitations/${second.id}/resend`);
      expect(await outcome(again)).to.equal('429 rate_limited');
    }
    const many = await Promise.all(times(20, (index) => invite(acme, `p${index}@example.com`)));
    expect(countBy(many, 'status')).to.deep.equal({ 201: 20 });
  });

  it('gives no role, and takes none back, that holds more than whoever sends it does', async () => {
    const { shared, visitor, invited, invitations, acme } = await invitingWorld();
    const aide = await visitor('aide@example.com');
    const { client } = aide;
    expect(await outcome(client.post(invitations, { email: grace }))).to.equal('404 not_found');
    const plain = await visitor('plain@example.com');
    await addMember({ ...shared, organizationId: acme, userId: plain.user.id });
    expect(await outcome(plain.client.post(invitations, { email: grace }))).to.equal(
      '403 permission_missing',
    );
    await plain.client.get(invitations).expect(200);
    await addMember({ ...shared, organizationId: acme, userId: aide.user.id, role: 'admin' });
    expect(await outcome(client.post(invitations, { email: grace, role: 'owner' }))).to.equal(
      '403 permission_missing',
    );
    expect(await outcome(client.post(invitations, { email: grace, role: 'emperor' }))).to.equal(
      '400 validation_failed',
    );
    expect(await outcome(client.post(invitations, { email: grace, teamIds: [nobody] }))).to.equal(
      '404 not_found',
    );
    const { id } = await invited(grace, { role: 'owner' });
    expect(await outcome(client.delete(`${invitations}/${id}`))).to.equal('403 permission_missing');
    expect(await outcome(client.post(`${invitations}/${id}/resend`))).to.equal('403 permission_missing');
    expect(await Invitations(inspector()).countDocuments()).to.equal(1);
  });

  it('is refused for what is no address, and for members', async () => {
    const { invite } = await invitingWorld();
    for (const email of [
      'x',
      'a@example.com,b@example.com',
      'a@example.com\r\nBcc: b@example.com',
      { $ne: '' },
      '',
    ])
      expect(await outcome(invite(email as string))).to.equal('400 validation_failed');
    expect(await outcome(invite('ADA@example.com'))).to.equal('409 already_member');
  });

  it('passes over a team that was deleted meanwhile, and is refused without its role', async () => {
    const { shared, boss, invited, person, acme } = await invitingWorld();
    const [red, blue] = (await Teams(inspector()).find().lean()).map(({ _id }) => String(_id));
    await Roles(inspector()).create({ organization: acme, name: 'guest', permissions: [] });
    const { token } = await invited(grace, { role: 'guest', teamIds: [red, blue] });
    await boss.delete(`/organizations/${acme}/teams/${red}`).expect(204);
    const { id: userId } = await person(grace);
    await Roles(inspector()).deleteOne({ name: 'guest' });
    expect(await codeOf(acceptInvitation({ ...shared, token, userId }))).to.equal('conflict');
    await Roles(inspector()).create({ organization: acme, name: 'guest', permissions: [] });
    expect((await acceptInvitation({ ...shared, token, userId })).teamIds).to.deep.equal([blue]);
  });

  it('ends with its organization, and with the account of who is invited', async () => {
    const { shared, invited, person, acme, open } = await invitingWorld();
    const { token } = await invited(grace);
    const { id } = await person(grace);
    const subject = { type: 'user', id } as const;
    const { invitations } = await exportSubject({ ...shared, subject });
    expect(invitations).to.have.length(1);
    await eraseSubject({ ...shared, subject });
    expect([await open(), await Invitations(inspector()).countDocuments()]).to.deep.equal([[], 0]);

    const { id: userId } = await person(grace);
    expect(await codeOf(acceptInvitation({ ...shared, token, userId }))).to.equal('token_used');
    const next = await invited(grace);
    await deleteOrganization({ ...shared, organizationId: acme });
    expect(await codeOf(acceptInvitation({ ...shared, token: next.token, userId }))).to.equal('token_used');
  });

  it('becomes the membership of who is made a member in another way: the seat is the same', async () => {
    const { shared, invited, person, acme, open } = await invitingWorld();
    await setSeats({ ...shared, organizationId: acme, seats: 2 });
    const { token } = await invited(grace);
    const other = await person('other@example.com');
    const organizationId = acme;
    expect(await codeOf(addMember({ ...shared, organizationId, userId: other.id }))).to.equal(
      'seats_exhausted',
    );
    const { id: userId } = await person(grace);
    await addMember({ ...shared, organizationId, userId });
    expect([await open(), await Invitations(inspector()).countDocuments()]).to.deep.equal([[], 0]);
    expect(await codeOf(acceptInvitation({ ...shared, token, userId }))).to.equal('token_used');
    expect(await codeOf(addMember({ ...shared, organizationId, userId }))).to.equal('already_member');
  });

  it('is forgotten a day after it has expired, by cleanUp() at once', async () => {
    const { shared, invited, expireAll } = await invitingWorld();
    await invited(grace);
    expect((await cleanUp(shared)).invitations).to.equal(0);
    await expireAll();
    expect((await cleanUp(shared)).invitations).to.equal(1);
    expect(await Invitations(inspector()).countDocuments()).to.equal(0);
  });

  it('needs mail: without it there is no route, and the functions say so', async () => {
    const { shared, as, acme } = await world();
    const client = await as(ada);
    const path = `/organizations/${acme}/invitations`;
    expect(await outcome(client.post(path, { email: grace }))).to.equal('405 method_not_allowed');
    await client.get(path).expect(200);
    const organizationId = acme;
    for (const refused of await Promise.allSettled([
      inviteMember({ ...shared, organizationId, email: grace }),
      resendInvitation({ ...shared, organizationId, invitationId: nobody }),
    ]))
      expect((refused as PromiseRejectedResult).reason)
        .to.be.instanceOf(TypeError)
        .with.property('message')
        .that.includes('needs mail');
  });
});

describe('whether an invited address has an account', () => {
  it('shows in nothing that the application answers or asks of the database', async () => {
    const { shared, acme } = await tenancyWorld();
    const connection = await connect(undefined, { monitorCommands: true });
    const commands: string[] = [];
    connection.getClient().on('commandStarted', ({ commandName, command }) => {
      const target = String(command[commandName]);
      if (!['getMore', 'endSessions'].includes(commandName) && target !== 'tollgate_revocations')
        commands.push(`${commandName} ${target}`);
    });
    const { as } = clientsOf(await serve(demoApp({ ...shared, connection })));
    const client = await as(ada);
    const ask = async (email: string) => {
      commands.splice(0);
      const { status, body, headers } = await client.post(`/organizations/${acme}/invitations`, { email });
      const { id, email: shown, expiresAt, ...rest } = body;
      const asked = commands.splice(0).filter((command) => !command.startsWith('aggregate 1'));
      return { status, rest, names: Object.keys(headers), lengths: headers['content-length'], asked };
    };
    for (const name of ['a', 'b', 'c']) await ask(`${name}@example.com`); // what is remembered is loaded
    const [unknown, known] = [await ask('eva@example.com'), await ask('bob@example.com')];
    expect(known).to.deep.equal(unknown);
    expect(known.status).to.equal(201);
    expect(known.asked).not.to.have.length(0);
  });
});

describe('at the same time', () => {
  it('20 invitations for one person and 20 acceptances of it make one membership', async () => {
    const { boss, invitations, tokenOf, visitor, acme, sent } = await invitingWorld();
    const answers = await Promise.all(times(20, () => boss.post(invitations, { email: grace })));
    expect(countBy(answers, 'status')).to.deep.equal({ 201: 1, 409: 19 });
    const token = await tokenOf(grace, 'invitation');
    expect(sent).to.deep.equal([]);
    const { user, client } = await visitor(grace);
    const accepted = await Promise.all(times(20, () => client.post('/invitations/accept', { token })));
    expect(countBy(accepted, 'status')).to.deep.equal({ 201: 1, 400: 19 });
    expect(await Memberships(inspector()).countDocuments({ user: user.id })).to.equal(1);
    expect(await counted(acme)).to.deep.equal({ members: [2, 2], owners: [1, 1] });
  });

  it('20 people who accept take the seats that there are, and none more', async () => {
    const { shared, invited, person, acme, open } = await invitingWorld();
    const people = await Promise.all(
      times(20, async (index) => {
        const email = `p${index}@example.com`;
        const { id: userId } = await person(email);
        return { userId, ...(await invited(email)) };
      }),
    );
    await setSeats({ ...shared, organizationId: acme, seats: 10 });
    const second = { ...shared, connection: await connect() }; // as another process would
    const accept = ({ userId, token }: { userId: string; token: string }, index: number) =>
      codeOf(acceptInvitation({ ...(index % 2 ? shared : second), userId, token }));
    const codes = await Promise.all(people.map(accept));
    expect(
      countBy(
        codes.map((code) => ({ code })),
        'code',
      ),
    ).to.deep.equal({ done: 9, seats_exhausted: 11 });
    expect(await counted(acme)).to.deep.equal({ members: [10, 10], owners: [1, 1] });
    expect(await open()).to.have.length(11);
    await setSeats({ ...shared, organizationId: acme, seats: null });
    expect(
      countBy(
        (await Promise.all(people.map(accept))).map((code) => ({ code })),
        'code',
      ),
    ).to.deep.equal({ done: 11, token_used: 9 });
  });

  it('20 invitations take the seats that there are, and none more', async () => {
    const { shared, acme, open } = await invitingWorld();
    const organizationId = acme;
    await setSeats({ ...shared, organizationId, seats: 10 });
    const second = { ...shared, connection: await connect() };
    const codes = await Promise.all(
      times(20, (index) =>
        codeOf(
          inviteMember({ ...(index % 2 ? shared : second), organizationId, email: `p${index}@example.com` }),
        ),
      ),
    );
    expect(
      countBy(
        codes.map((code) => ({ code })),
        'code',
      ),
    ).to.deep.equal({ done: 9, seats_exhausted: 11 });
    expect(await open()).to.have.length(9);
    expect(await Invitations(inspector()).countDocuments()).to.equal(9);
  });
});
