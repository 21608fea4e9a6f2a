# What the tests find in Redmine: two projects, our own user, two persons, and the custom field by which our issues are found again.
# Its face to the tests is ids.json.
ActiveJob::Base.queue_adapter = :test # keeps mails about new persons: those who write them lock the database beside us
Setting.rest_api_enabled = "1"
Setting.login_required = "1" # without it, a wrong key reads public data and is answered 200
Setting.text_formatting = "textile"

def person(login, admin: false)
  user = User.new(firstname: login, lastname: "Test", mail: "#{login}@example.invalid", admin: admin, language: "en")
  user.login = login
  user.password = user.password_confirmation = "password of the tests"
  user.save!
  { id: user.id, key: Token.create!(user: user, action: "api").value }
end

def project(identifier)
  project = Project.new(name: identifier.upcase, identifier: identifier, is_public: false)
  project.trackers = Tracker.all
  project.enabled_module_names = ["issue_tracking", "wiki"]
  project.save!
  project
end

noc, field_service = project("noc"), project("field-service")
receiver, yamada, tanaka = person("receiver"), person("yamada", admin: true), person("tanaka")
manager = Role.givable.find_by_name("Manager")
[noc, field_service].product([receiver, yamada, tanaka]).each do |project, one|
  Member.create!(project: project, user_id: one[:id], roles: [manager])
end

def field(name, **how)
  IssueCustomField.create!(name: name, field_format: "string", is_for_all: true, trackers: Tracker.all, **how).id
end

ids = {
  receiver: receiver, yamada: yamada, tanaka: tanaka,
  other_project: field_service.id, tracker: Tracker.sorted.last.id,
  key_field: field("art58 incident", is_filter: true, searchable: true),
  other_field: field("Region"), no_filter: field("no filter"),
}
File.write("#{ENV.fetch('ART58_REDMINE_STATE')}/ids.json", ids.to_json)
