import type { JsonSchema } from '../../middleware/described.js';
import { maybe, moment, object, text, texts } from '../resources.js';

const memberFacts = {
  userId: text,
  email: text,
  name: maybe,
  role: text,
  teamIds: texts,
  joinedAt: moment,
};

export const memberResource = { title: 'Member', ...object(memberFacts) } satisfies JsonSchema;

/** Who has accepted an invitation, and into which organization. */
export const newMemberResource = {
  title: 'NewMember',
  ...object({ organizationId: text, ...memberFacts }),
} satisfies JsonSchema;

/** What somebody is in an organization, as they see it themselves. */
export const membershipResource = {
  title: 'Membership',
  ...object({ role: text, teamIds: texts, currentTeamId: maybe }),
} satisfies JsonSchema;

export const teamResource = { title: 'Team', ...object({ id: text, name: text }) } satisfies JsonSchema;

export const invitationResource = {
  title: 'Invitation',
  ...object({ id: text, email: text, role: text, teamIds: texts, expiresAt: moment }),
} satisfies JsonSchema;
