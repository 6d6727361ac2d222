#!/usr/bin/env node
// A plugin in Node.js, with nothing but its standard library. It answers GET /health, GET /info, POST /execute
// and POST /shutdown on the port that PLUGIN_PORT names.
'use strict';

const http = require('node:http');

const VERSION = '1.0.0';

// Fails the step; `code` is what ${error.code} and retry_on see in the flow.
class PluginError extends Error {
  constructor(code, message, details = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

// Follows a path such as `.order.items[0].name`; `[]` goes on with every element of a list.
function pick(value, path) {
  if (!/^(\.[\w-]+|\[\d*\])*\.?$/.test(path)) {
    throw new PluginError('BAD_EXPRESSION', `not a path: ${path}`, { expression: path });
  }
  let values = [value];
  let many = false;
  for (const part of path.match(/[\w-]+|\[\d*\]/g) || []) {
    if (part === '[]') {
      many = true;
      values = values.flatMap((each) => (Array.isArray(each) ? each : []));
    } else {
      const key = part.replace(/[[\]]/g, '');
      values = values.map((each) => each?.[key] ?? null);
    }
  }
  return many ? values : values[0];
}

const actions = {
  'my-js-plugin.transform': {
    name: 'Transform JSON',
    description: 'Picks the value at a path such as .items[].price',
    schema: {
      type: 'object',
      properties: { input: {}, expression: { type: 'string' } },
      required: ['input'],
    },
    run(config, context, log) {
      const result = pick(config.input, config.expression ?? '.');
      log('info', `transformed the input of step ${context.step_id}`);
      return { result, transformed_at: new Date().toISOString() };
    },
  },
};

function info() {
  const listed = Object.entries(actions).map(([id, { run, ...rest }]) => ({ id, ...rest }));
  return { id: 'my-js-plugin', name: 'Transform in Node.js', version: VERSION, actions: listed };
}

async function execute({ action, config, context }) {
  const began = performance.now();
  const logs = [];
  const log = (level, message) => logs.push({ level, message, timestamp: new Date().toISOString() });
  try {
    if (!actions[action]) throw new PluginError('UNKNOWN_ACTION', `there is no action ${action}`);
    const output = await actions[action].run(config, context, log);
    return { success: true, output, logs, metrics: { duration_ms: performance.now() - began } };
  } catch (error) {
    if (!(error instanceof PluginError)) throw error;
    const { code, message, details } = error;
    return { success: false, output: {}, error: { code, message, details }, logs };
  }
}

const routes = {
  'GET /health': () => ({ status: 'healthy', version: VERSION, uptime_seconds: Math.floor(process.uptime()) }),
  'GET /info': info,
  'POST /execute': execute,
  'POST /shutdown': () => {
    setImmediate(() => server.close(() => process.exit(0)));
    return { message: 'shutting down' };
  },
};

const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const route = routes[`${request.method} ${request.url}`];
  const body = chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
  const answer = JSON.stringify(route ? await route(body) : { error: 'not found' });
  response.writeHead(route ? 200 : 404, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(answer),
  });
  response.end(answer);
});

server.listen(Number(process.env.PLUGIN_PORT), '127.0.0.1');
