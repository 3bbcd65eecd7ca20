/** What is read of a router of @koa/router's, of whatever version. */
export interface RouterLike {
  readonly stack: readonly LayerLike[];
}

export interface LayerLike {
  readonly methods: readonly string[];
  readonly path: string | RegExp;
  readonly stack: readonly object[];
  match(path: string): boolean;
}

/** A route as OpenAPI writes it. */
export interface Route {
  /** Such as `/auth/sessions/{id}`. */
  readonly path: string;
  readonly parameters: readonly string[];
  /** In lower case. */
  readonly method: string;
  readonly middlewares: readonly object[];
}

/** Those of OpenAPI 3.1; HEAD is answered wherever GET is. */
const methods = new Set(['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE']);

/** The routes of a router, each with the middlewares of `router.use()` that it passes. Paths that are regular expressions have no form in OpenAPI. */
export function routesOf({ stack }: RouterLike): readonly Route[] {
  return stack.flatMap((layer, index) => {
    if (typeof layer.path !== 'string') return [];
    const parameters: string[] = [];
    const path = layer.path.replaceAll(
      /[:*](\w+)/g,
      (_, name: string) => `{${parameters[parameters.push(name) - 1]}}`,
    );
    const before = stack
      .slice(0, index)
      .filter((other) => isShared(other) && other.match(layer.path as string));
    const middlewares = [...before, layer].flatMap((each) => each.stack);
    const served = layer.methods.filter((method) => methods.has(method));
    return served.map((method) => ({ path, parameters, method: method.toLowerCase(), middlewares }));
  });
}

const isShared = ({ methods: own }: LayerLike): boolean => own.length === 0;
