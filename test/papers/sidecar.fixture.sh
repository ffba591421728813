# What papers for operators take for granted: policies, a configuration, a sidecar at work with its audit log, keys.
git init -q . && git commit -q --allow-empty -m 'Nothing yet'
cp -r "$ROOT/policies" policies
cp -r "$ROOT/policies" policies-new
mkdir mine audit
cat > mine/authz.rego <<'END'
package mine.authz

# METADATA
# title: Mine
# description: Reads a member that the sidecar's input does not have.
default allow := false

allow if input.team == "mine"
END
cp policies/ollama/authz/authz.rego authz.rego
echo '{"model":"mistral","messages":[]}' > body.json
echo '{"version":1,"operation":"models.list","model_refs":[],"principal":{"id":"a","kind":"jwt","roles":["guest"],"permissions":[],"claims":{}}}' > input.json
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out private.pem 2> /dev/null
openssl genpkey -algorithm ed25519 -out heads.pem
openssl pkey -in heads.pem -pubout -out heads.pub.pem
openssl rand -hex 32 > admin-token
export OPALLAMA_ADMIN_TOKEN=$(cat admin-token)
export OPALLAMA_JWT_SECRET=$(openssl rand -hex 32)
cat > opallama.yaml <<'END'
policy: { path: policies/, rollout: { percent: 10 } }
identity:
  jwt: [{ algorithm: HS256, secret_env: OPALLAMA_JWT_SECRET, issuer: https://id.example, audience: opallama }]
  api_keys: { file: api-keys.yaml }
audit:
  file: audit/audit.jsonl
  heads: { key_file: heads.pem, file: heads.jsonl }
admin: { token_file: admin-token }
shutdown: { delay: 0s }
END
cat > api-keys.yaml <<'END'
keys:
  - id: 75mitmbtzqnj
    hash: sha256:s1N7-_3lcJg-HkZ0tO7isg:VbWlvHSr-Zjw0ExlrPrmfp6dZf6YWmMJ4xfsr1qiZds
    principal: ci
    roles: [developer]
END
opallama build policies --output v1.tar.gz --revision dbeea3170999
cp v1.tar.gz live.tar.gz
TOKEN=$(opallama token --subject alice --role developer)
OPALLAMA_POLICY__PATH=live.tar.gz stays '"listener":"ops"' opallama serve
for model in llama3.2 gpt-oss:120b-cloud; do
  curl -s -o answer -H "Authorization: Bearer $TOKEN" -d "{\"model\":\"$model\",\"messages\":[]}" http://127.0.0.1:8080/api/chat
done
until [ "$(wc -l < "$out")" -ge 2 ]; do sleep 0.1; done
cp "$out" audit.jsonl
cp "$out" audit.jsonl.1

two_more_revisions() { # the second one is not taken up yet
  opallama build policies-new --output live.tar.gz --revision 0123456789ab
  opallama reload
  opallama rollout --percent 100
  opallama build policies-new --output live.tar.gz --revision 0123456789cd
}
