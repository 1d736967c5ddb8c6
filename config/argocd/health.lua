-- What Argo CD says of an object of holdfast.dev: `obj` is the live object; the table is its health.
-- Without this Argo CD calls every object healthy at once, also one that was refused.

local function condition(kind)
  for _, found in ipairs((obj.status or {}).conditions or {}) do
    if found.type == kind then
      return found
    end
  end
  return { status = "Unknown", message = "" }
end

local function health(status, message)
  return { status = status, message = message }
end

local ready, drifted, stalled = condition("Ready"), condition("Drifted"), condition("Stalled")

if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "Waiting for the operator")
end
if stalled.status == "True" then
  return health("Degraded", stalled.message)
end
if condition("Paused").status == "True" then
  return health("Suspended", "Reconciliation is paused")
end
if ready.status ~= "True" then
  return health("Progressing", ready.message)
end
if drifted.status == "True" then
  return health("Healthy", "Drifted: " .. drifted.message)
end
return health("Healthy", ready.message)
