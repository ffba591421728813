/**
 * The way of a request, from top to bottom. This file alone knows the order of the stages; no stage knows another. Every
 * way out of it reaches `record.finish` exactly once.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

import { type Exit, type Recorder, recordReasons } from '../audit/record.ts';
import type { Config } from '../configured/config.ts';
import type { Shadow } from '../decision/shadow.ts';
import { RequestError } from '../errors.ts';
import type { Certify } from '../identity/client-certificate.ts';
import type { TokenGrant } from '../identity/grant-token.ts';
import type { Identify } from '../identity/identify.ts';
import { readAsked, readPathModel } from '../input/ask/read.ts';
import { type BodyBudget, readBody } from '../input/body.ts';
import { buildInput } from '../input/build-input.ts';
import { guardJson } from '../input/guard/guard.ts';
import { knownMembers } from '../input/guard/known-members.ts';
import { checkHead, checkNoBody } from '../input/head.ts';
import { guessApi, matchRoute, type Route, readParameter } from '../input/routes.ts';
import { parseTarget, type Target } from '../input/target.ts';
import { receiveUpload } from '../input/upload.ts';
import { deliver } from '../stream/deliver.ts';
import { createUsageHider } from '../stream/hide-usage.ts';
import { startReport } from '../stream/readers/table.ts';
import { createTap, readFraming } from '../stream/tap.ts';
import type { Trails } from '../telemetry/trail.ts';
import type { AnswerKind, DecidingPolicy, Decision, Principal } from '../types.ts';
import { buildAnswerHeaders, buildRequestHeaders } from '../upstream/headers.ts';
import type { Upstream } from '../upstream/proxy.ts';
import type { Via } from '../upstream/via.ts';
import type { UpstreamAnswer } from '../upstream-answer.ts';
import { answerDenial, answerError, renderErrorFrame, sendAnswer } from './answer.ts';
import { answerKind } from './answer-kind.ts';
import { asksForDebug, createId, readRequestId, readTrace } from './correlation.ts';
import { answerPreflight, createCors, isPreflight } from './cors.ts';
import { type Deadline, startDeadline } from './deadline.ts';
import type { DrainState } from './drain.ts';
import { blameShutdown, createExit } from './exit.ts';
import { linger } from './linger.ts';
import { type JudgedBody, prepareBody } from './prepare-body.ts';
import type { SocketFaults } from './socket-faults.ts';
import { answerToken, answerTokenError, isTokenPath, receiveTokenRequest, tokenRoute } from './token-endpoint.ts';

export interface PipelineParts {
  readonly config: Config;
  /** Where the data listener asks for certificates. */
  readonly certify?: Certify | undefined;
  readonly identify: Identify;
  /** Where there is a token endpoint. */
  readonly tokens?: TokenGrant | undefined;
  /** What decides now, for this caller. */
  readonly policy: (principal: Principal, clientIp: string) => DecidingPolicy;
  /** Asked beside it, once a request is decided. */
  readonly shadow?: Pick<Shadow, 'observe'> | undefined;
  readonly upstream: Upstream;
  readonly via: Via;
  readonly bodies: BodyBudget;
  readonly record: Recorder;
  /** What the log tells of requests on their way. */
  readonly trails?: Trails | undefined;
  /** Added to every answer; empty but for the quick start with its practice upstream. */
  readonly extraHeaders: Readonly<Record<string, string>>;
  readonly faults: SocketFaults;
  readonly drainState: () => DrainState;
  readonly onInternalError: (error: unknown, requestId: string) => void;
}

export interface Pipeline {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Requests that have not ended. */
  inFlight(): number;
  /** What seems to leave from now on was cut by whoever closes the connections. */
  endsNow(): void;
}

/** What is read of a body that is no larger may be held as long as its answer lasts, bytes. */
const smallBody = 16 * 1024;

export function createPipeline(parts: PipelineParts): Pipeline {
  const { config, upstream } = parts;
  const headRules = {
    allowedOrigins: config.cors.origins,
    hosts: config.identity.anonymous === undefined ? undefined : config.listen.hosts,
    pseudonym: parts.via.pseudonym,
  };
  const cors = createCors(config.cors.origins);
  let inFlight = 0;
  let isOver = false;

  return { handle, inFlight: () => inFlight, endsNow };

  function endsNow(): void {
    isOver = true;
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = readRequestId(request.headers);
    const trace = readTrace(request.headers);
    const ids: Record<string, string> = { 'x-request-id': requestId, ...parts.extraHeaders };
    Object.assign(ids, cors.answerHeaders(request.headers.origin));
    const method = request.method ?? '';
    let api = guessApi(request.url ?? '');
    const start = { requestId, traceId: trace?.traceId, traceSampled: trace?.sampled, api, method };
    const record = parts.record(start);
    let trail = parts.trails?.begin(start);
    parts.faults.watch(request, response, requestId);
    inFlight += 1;
    const drainState = parts.drainState();
    // Whoever keeps the connection would go on sending here.
    if (drainState !== 'serving') ids['connection'] = 'close';
    let asksForToken = false;
    let exit: Exit | (() => Exit);
    try {
      exit = await walk();
    } catch (error) {
      exit = refuseOrCut(error);
    }
    if (isOver) exit = blameShutdown(exit);
    if (trail !== undefined) {
      if (typeof exit === 'function') exit = exit();
      trail.ended(exit);
    }
    record.finish(exit);
    inFlight -= 1;

    async function walk(): Promise<Exit | (() => Exit)> {
      const passed = await pass();
      return 'source' in passed ? await stream(passed) : passed;
    }

    /** Up to the head of the answer. A stream may last for hours: what was sent is held no longer than this runs. */
    async function pass(): Promise<Exit | Passed> {
      if (drainState === 'refusing')
        throw new RequestError('shutting_down', undefined, { headers: { 'retry-after': '1' } });
      if (inFlight > config.limits.inFlight)
        throw new RequestError('overloaded', undefined, { headers: { 'retry-after': '1' } });
      try {
        checkHead(request, headRules);
      } catch (error) {
        // Now, because the next request on this connection may be parsed before anything awaited here goes on.
        parts.faults.distrust(request.socket, error);
        throw error;
      }
      const target = parseTarget(request.url ?? '', config.prefixes);
      if (isPreflight(request)) {
        checkNoBody(request);
        answerPreflight(request, response, ids);
        return { outcome: 'complete', status: 204 };
      }
      if (parts.tokens !== undefined && isTokenPath(target.path)) return await grantToken(parts.tokens, target);
      const certified = parts.certify?.(request.socket);
      if (certified !== undefined) record.certified(certified.principal.id);
      const call = { method, path: target.path, query: target.query };
      const identified = parts.identify(request.rawHeaders, call, certified);
      const principal = identified instanceof Promise ? await identified : identified;
      record.identified(principal);
      const route = matchRoute(method, target.path);
      api = route.api;
      record.routed(route);

      const body = await receive(route);
      try {
        const guarded = route.request && body && guardJson(body.bytes, knownMembers[route.request]);
        const pathModel = readParameter(route, 'model', target.path);
        const asked =
          route.request && guarded
            ? readAsked(route.request, guarded.value)
            : pathModel === undefined
              ? undefined
              : readPathModel(pathModel);
        // One for the input and the decision: a reload may come between any two requests.
        const clientIp = request.socket.remoteAddress ?? '';
        const policy = parts.policy(principal, clientIp);
        const decisionId = createId();
        const facts = {
          requestId,
          decisionId,
          route,
          method,
          principal,
          asked,
          clientIp,
          clientCertificate: certified?.principal.id,
          rawHeaders: request.rawHeaders,
          nowNs: Date.now() * 1e6,
          rolePrecedence: config.identity.rolePrecedence,
        };
        const input = buildInput(facts, policy.reads);
        record.asked(input);
        ids['x-opallama-decision-id'] = decisionId;

        const decision = await policy.decide(input);
        record.decided(decision, policy);
        if (decision.debugLog === true && asksForDebug(request.headers)) {
          ids['x-opallama-debug'] = 'granted';
          trail ??= parts.trails?.grant(start);
        }
        trail?.decided({
          principal,
          operation: route.operation,
          path: route.path,
          model: input.model,
          bytes: body?.bytes.length,
          decision,
          reasons: recordReasons(decision, policy).codes,
        });
        parts.shadow?.observe({
          input,
          decision,
          policy,
          bytes: body?.bytes.length ?? 0,
          build: (reads) => buildInput(facts, reads),
        });
        if (!decision.allowed) {
          sendAnswer(response, answerDenial(api, decision), ids);
          return { outcome: decision.result === 'error' ? 'error' : 'denied', status: decision.httpStatus };
        }
        const passed = await forward({ target, route, answer: answerKind(route.request), guarded, asked, decision });
        if (body !== undefined && body.bytes.length > smallBody) record.trim();
        return passed;
      } finally {
        body?.release();
      }
    }

    /** Ends here: nothing of it is for a policy or for Ollama. */
    async function grantToken(grant: TokenGrant, { query }: Target): Promise<Exit> {
      asksForToken = true;
      record.routed(tokenRoute);
      const granted = await receiveTokenRequest(grant, {
        request,
        query,
        budget: parts.bodies,
        timeoutMs: config.timeouts.body,
        ask: waitsToBeAsked() ? () => response.writeContinue() : undefined,
        received: record.received,
      });
      record.identified(granted.principal);
      sendAnswer(response, answerToken(granted), ids);
      return { outcome: 'complete', status: 200 };
    }

    async function receive(route: Route): Promise<{ bytes: Buffer; release(): void } | undefined> {
      if (route.request === undefined) {
        // A blob is passed on once it is decided.
        if (route.operation !== 'blobs.create') checkNoBody(request);
        record.received();
        return undefined;
      }
      const body = await readBody(request, {
        maxBytes: config.limits.body,
        timeoutMs: config.timeouts.body,
        budget: parts.bodies,
        ask: waitsToBeAsked() ? () => response.writeContinue() : undefined,
      });
      record.received();
      return body;
    }

    /** HTTP/1.0 knows no interim answers (RFC 9110, 10.1.1). */
    function waitsToBeAsked(): boolean {
      return request.headers.expect !== undefined && request.httpVersion !== '1.0';
    }

    async function forward(judged: Judged): Promise<Exit | Passed> {
      const { bytes, changes } = prepareBody(judged);
      // What must be on disk first, if anything. Nothing of the request has left yet.
      const recorded = record.forwards(upstream.id, changes);
      if (recorded !== undefined) await recorded;
      const digest = readParameter(judged.route, 'digest', judged.target.path);
      const upload =
        digest !== undefined && judged.route.operation === 'blobs.create'
          ? receiveUpload(request, digest, { maxBytes: config.limits.blob, idleMs: config.timeouts.idle })
          : undefined;
      if (upload !== undefined && waitsToBeAsked()) response.writeContinue();
      const length = upload === undefined ? bytes?.length : upload.length;
      const headers = buildRequestHeaders(request.headers, {
        via: parts.via.extend(request.headers.via),
        requestId,
        trace,
        length,
        set: judged.decision.headers,
        remove: judged.decision.requestHeadersToRemove,
      });
      const exchange = upstream.send({
        method,
        path: judged.target.path + judged.target.query,
        headers,
        body: upload ?? bytes,
        socket: request.socket,
      });
      record.forwarded(upstream.id, changes);
      trail?.forwarded({ target: upstream.id, headers: Object.keys(headers), changes, bytes: length });
      // Ollama stops to generate when its client is gone, so it has to hear of it at once.
      let clientLeft = response.destroyed;
      const onClose = (): void => {
        clientLeft = !response.writableFinished;
        if (clientLeft) exchange.abandon();
      };
      response.once('close', onClose);
      if (clientLeft) exchange.abandon();
      const deadline = startDeadline(config.timeouts.total, () => exchange.abandon());

      let source: UpstreamAnswer;
      try {
        source = await exchange.answer;
      } catch (error) {
        if (deadline.isOver()) throw new RequestError('total_timeout');
        deadline.stop();
        if (!clientLeft) throw error;
        // The model may have run for a while; Ollama never says how far it came.
        const usage = judged.answer && startReport(judged.answer).usage;
        return { outcome: 'aborted', status: 499, error: 'client_closed_request', usage };
      }
      const { answer, decision } = judged;
      return { source, deadline, answer, hideUsage: changes.length > 0, headersToAdd: decision.responseHeadersToAdd };
    }

    async function stream({ source, deadline, answer, hideUsage, headersToAdd }: Passed): Promise<() => Exit> {
      const { status } = source;
      const framing = readFraming(source.headers['content-type']);
      trail?.answered({ status, framing });
      // Errors and lists say no counts.
      const tap =
        answer !== undefined && status < 400 && framing !== undefined ? createTap(answer, framing) : undefined;
      const filter =
        hideUsage && framing === 'sse' ? createUsageHider({ inEachEvent: answer === 'openai.completion' }) : undefined;
      const delivery = deliver({
        source,
        sink: response,
        status,
        headers: Object.assign(
          // RFC 9110, 8.6: no length with 204.
          buildAnswerHeaders(source.headers, filter !== undefined || status === 204),
          headersToAdd,
          ids,
        ),
        tap,
        filter,
        idleMs: config.timeouts.idle,
        onFirstByte: record.firstByte,
        errorFrame: (code) => renderErrorFrame(api, framing, code),
      });
      deadline.replace(() => delivery.cut('total_timeout'));
      try {
        const end = await delivery.ended;
        // Ollama answers before it has all of a blob that it has already.
        if (!request.complete) linger(request);
        // What the answer said is read when the event is made.
        return createExit(status, end, tap);
      } finally {
        deadline.stop();
      }
    }

    /** Even where the answer to a failure fails, the request ends and is told of. */
    function refuseOrCut(thrown: unknown): Exit {
      try {
        return refuse(thrown);
      } catch (error) {
        parts.onInternalError(error, requestId);
        response.destroy();
        return { outcome: 'error', status: 500, error: 'internal_error' };
      }
    }

    /** Every failure on the way, foreseen or not, becomes an answer and an exit. */
    function refuse(thrown: unknown): Exit {
      const error = nameFailure(thrown);
      if (!request.complete) linger(request);
      if (parts.faults.isOver(request.socket)) ids['connection'] = 'close';
      sendAnswer(response, asksForToken ? answerTokenError(error) : answerError(api, error, error.headers), ids);
      const outcome = error.code === 'client_closed_request' ? 'aborted' : error.status >= 500 ? 'error' : 'denied';
      return { outcome, status: error.status, error: error.code };
    }

    function nameFailure(thrown: unknown): RequestError {
      if (!(thrown instanceof RequestError)) {
        parts.onInternalError(thrown, requestId);
        return new RequestError('internal_error');
      }
      // A client that seems to have left may have been given up by the parser.
      return thrown.code === 'client_closed_request' ? (parts.faults.of(request) ?? thrown) : thrown;
    }
  }
}

interface Judged extends JudgedBody {
  readonly target: Target;
  readonly decision: Decision;
}

/** What is left of a request once its answer begins. */
interface Passed {
  readonly source: UpstreamAnswer;
  readonly deadline: Deadline;
  /** Of the answer. */
  readonly answer: AnswerKind | undefined;
  readonly hideUsage: boolean;
  readonly headersToAdd: Decision['responseHeadersToAdd'];
}
