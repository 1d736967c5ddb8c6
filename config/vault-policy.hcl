# What Holdfast may do in Vault or OpenBao with keys.store: vault. It makes its keys, rotates them and signs with them;
# it cannot read, export or delete them.
path "transit/keys/holdfast-*" {
  capabilities = ["create", "read", "update"]
}
path "transit/sign/holdfast-*" {
  capabilities = ["update"]
}
