/** The commands of the papers for operators, asked of a sidecar at work. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noModule } from '../policy/toolchain-fixture.ts';
import { makePlace } from './place.ts';
import { runHere } from './register.ts';
import { follow, stepsOf } from './session.ts';
import { sidecar, standIns } from './sidecar.ts';

test('every command of docs/admin.md, docs/delivery.md and docs/logs.md runs', {
  skip: noModule,
  timeout: 600_000,
}, async (t) => {
  const place = await makePlace(t, { standIns });
  const steps = stepsOf(['docs/admin.md', 'docs/delivery.md', 'docs/logs.md'].flatMap(runHere), {
    'curl -H': { before: `${sidecar(place)}\nDECISION=$(sed -E 's/.*"decision_id":"([^"]+)".*/\\1/;q' "$out")` },
    // A policy of its own, whose brace is open.
    "curl -s 'http://127.0.0.1:9464/readyz?verbose'": {
      before: `stop; mkdir slipped; printf 'package ollama.authz\\n\\nallow := true\\n' > slipped/authz.rego
        printf 'package ollama.authz_test\\n\\ntest_allow if data.ollama.authz.allow\\n' > slipped/authz_test.rego
        OPALLAMA_POLICY__PATH=slipped stays '"listener":"ops"' opallama serve
        sed -i 's/allow := true/allow if {/' slipped/authz.rego; seen 'the changed policy was refused'`,
    },
    'opallama replay': { before: `stop; OPALLAMA_POLICY__PATH=live.tar.gz stays '"listener":"ops"' opallama serve` },
    'opallama rollback': { before: 'two_more_revisions; opallama reload; opallama rollout --percent 100' },
  });
  const [admin = ''] = await follow(t, place, steps);
  assert.match(admin, /"revision":"dbeea3170999"/);
  assert.match(admin, /^\{"decision_id":.*"rules":\[\{/m);
});
