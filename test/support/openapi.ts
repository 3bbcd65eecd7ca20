import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect } from 'chai';
import type { Client } from './world.js';

export type Schema = { properties?: Record<string, object>; required?: string[]; $ref?: string };
export type Operation = {
  parameters: { name: string; in: string; required?: boolean }[];
  security?: Record<string, string[]>[];
  requestBody?: { content: { 'application/json': { schema: Schema } } };
  responses: Record<string, { description: string; content?: Record<string, { schema: Schema }> }>;
};
export type Document = {
  openapi: string;
  info: object;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object>; securitySchemes: Record<string, object> };
};

export const operation = ({ paths }: Document, method: string, path: string): Operation => {
  const found = paths[path]?.[method];
  if (!found) throw new Error(`${method} ${path} is not in the document`);
  return found;
};

/** Such as `POST /auth/sign-in`, of every operation. */
export const documented = ({ paths }: Document): string[] =>
  Object.entries(paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
  );

/** Asks an application, and holds each answer against what the document says of the status that it came with. */
export function asking(document: Document) {
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  ajv.addSchema({ $id: 'document', ...document });
  const asked = new Set<string>();

  /** The path in the document that a request's is one of; what is written out goes before a parameter. */
  function templateOf(method: string, path: string): string {
    const [route = ''] = path.split('?');
    const fits = (template: string) =>
      new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(route) &&
      document.paths[template]?.[method];
    const [found] = Object.keys(document.paths).filter(fits).sort((one, other) => one.split('{').length - other.split('{').length); // biome-ignore format: a chain
    if (found === undefined) throw new Error(`${method} ${path} is not in the document`);
    return found;
  }

  async function ask(client: Client, method: keyof Client, path: string, body?: object) {
    const answer = await client[method](path, body);
    const template = templateOf(method, path);
    const { [answer.status]: said } = operation(document, method, template).responses;
    const got = `${method} ${path}: ${answer.status} ${answer.text}`;
    if (!said) throw new Error(`${got}, which is not in the document`);
    if (answer.status < 300) asked.add(`${method.toUpperCase()} ${template.replaceAll(/\{(\w+)\}/g, ':$1')}`);
    expect(!answer.text, got).to.equal(said.content === undefined);
    if (!said.content) return answer;
    const pointer = [template, method, 'responses', String(answer.status), 'content', answer.type, 'schema'];
    const steps = pointer.map((step) => encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1')));
    const validate = ajv.compile({ $ref: `document#/paths/${steps.join('/')}` });
    expect(validate(answer.body), `${got}: ${JSON.stringify(validate.errors)}`).to.equal(true);
    return answer;
  }

  /** The same, and it succeeds: its body. */
  async function have(client: Client, method: keyof Client, path: string, body?: object) {
    const answer = await ask(client, method, path, body);
    expect(answer.status, `${method} ${path}: ${answer.text}`).to.be.below(300);
    return answer.body;
  }

  return { ask, have, asked };
}
